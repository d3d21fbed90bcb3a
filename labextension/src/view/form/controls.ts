/** Which control stands for a value of a JSON schema. */
import {controlOf, optional, resolved, type Json, type Schema} from './schema.js';
import type {Control, Surroundings} from './control.js';
import {Fields, Items, Table, Union} from './groups.js';
import {Checkbox, Choice, Nothing, Text} from './inputs.js';

export function makeControl(given: Schema, value: Json | undefined, around: Surroundings): Control {
  const inner = optional(given, around.root);
  const schema = resolved(inner ?? given, around.root);
  const kind = controlOf(schema, around.root);
  if (kind === 'boolean') return new Checkbox(value, around);
  if (kind === 'choice') return new Choice(schema, value, inner !== null, around);
  if (kind === 'list' || kind === 'tuple') return new Items(schema, value, around);
  if (kind === 'table') return new Table(schema, value, around);
  if (kind === 'record') return new Fields(schema, value, around);
  if (kind === 'union') return new Union(schema, value, around);
  if (kind === 'null') return new Nothing(around);
  return new Text(schema, kind, value, inner !== null, around);
}

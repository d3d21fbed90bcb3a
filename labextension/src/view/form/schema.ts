/** JSON schemas as pydantic writes them: which control draws one, its first value, what is plainly wrong. Pure: no DOM. */

export type Json = null | boolean | number | string | Json[] | {[name: string]: Json};

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  enum?: Json[];
  const?: Json;
  format?: string;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  items?: Schema | boolean;
  prefixItems?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  default?: Json;
  title?: string;
  description?: string;
  suggestions?: string[];
  'x-flyte-type'?: string;
}

export type ControlKind =
  | 'text'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'choice'
  | 'path'
  | 'list'
  | 'tuple'
  | 'record'
  | 'table'
  | 'union'
  | 'null'
  | 'json';

/** What a text of this format looks like. */
export const EXAMPLES: Record<string, string> = {
  'date-time': '2026-01-31T10:00:00Z',
  date: '2026-01-31',
  time: '10:00:00',
  duration: 'PT1H30M or 01:30:00'
};
const INTEGER = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** Beyond it a JavaScript number is not the integer that was typed: the text goes to the kernel as it is. */
const EXACT_DIGITS = 15;

/** The schema itself, whatever it refers to; what stands beside the reference stays. */
export function resolved(schema: Schema, root: Schema): Schema {
  const {$ref, allOf, ...beside} = schema;
  const target = $ref ? root.$defs?.[$ref.split('/').pop() as string] : allOf?.length === 1 ? allOf[0] : undefined;
  return target ? {...resolved(target, root), ...beside} : schema;
}

export function controlOf(given: Schema, root: Schema): ControlKind {
  const schema = resolved(given, root);
  if (schema['x-flyte-type'] === 'file' || schema['x-flyte-type'] === 'dir') return 'path';
  if (schema.enum || schema.const !== undefined) return 'choice';
  if (alternatives(schema).length > 0) return 'union';
  if (schema.type === 'string') return 'text';
  if (schema.type === 'integer' || schema.type === 'number' || schema.type === 'boolean') return schema.type;
  if (schema.type === 'null') return 'null';
  if (schema.type === 'array') return schema.prefixItems ? 'tuple' : 'list';
  if (schema.type === 'object') return schema.properties ? 'record' : 'table';
  return 'json';
}

/** The members of a union; none where it is no union. */
export function alternatives(schema: Schema): Schema[] {
  return schema.anyOf ?? schema.oneOf ?? [];
}

/** The one thing that it may be beside None, where a single input can say both: an empty one is None. */
export function optional(given: Schema, root: Schema): Schema | null {
  const members = alternatives(resolved(given, root));
  const others = members.filter(member => controlOf(member, root) !== 'null');
  if (members.length !== 2 || others.length !== 1) return null;
  return ['integer', 'number', 'choice', 'path'].includes(controlOf(others[0], root)) ? others[0] : null;
}

/** What the reader calls it: `integer`, `list`, `Model`. */
export function nameOf(given: Schema, root: Schema): string {
  const schema = resolved(given, root);
  const kind = controlOf(schema, root);
  if (kind === 'null') return 'None';
  if (kind === 'text') return schema.format ?? 'text';
  if (kind === 'table') return 'dict';
  if (kind === 'json') return 'any';
  if (kind === 'union') return alternatives(schema).map(member => nameOf(member, root)).join(' | ');
  return (kind === 'record' || kind === 'path') && schema.title ? schema.title : kind;
}

/** Which member of a union a value is of; the first where none fits plainly. */
export function memberOf(value: Json | undefined, members: Schema[], root: Schema): number {
  const at = value === undefined ? -1 : members.findIndex(member => fits(value, member, root));
  return Math.max(0, at);
}

/** Whether a value is plainly of the kind of a schema. */
export function fits(value: Json, given: Schema, root: Schema): boolean {
  const schema = resolved(given, root);
  switch (controlOf(schema, root)) {
    case 'null':
      return value === null;
    case 'text':
      return typeof value === 'string';
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'choice':
      return choices(schema).includes(value);
    case 'list':
    case 'tuple':
      return Array.isArray(value);
    case 'path':
    case 'table':
      return isObject(value);
    case 'record':
      return isObject(value) && (schema.required ?? []).every(name => name in value);
    default:
      return true;
  }
}

export function choices(schema: Schema): Json[] {
  return schema.enum ?? [schema.const as Json];
}

/** What a typed text stands for in a field of this kind; undefined while it is empty. */
export function parsed(text: string, kind: ControlKind): Json | undefined {
  const plain = text.trim();
  if (kind === 'text') return text;
  if (plain === '') return undefined;
  if (kind === 'path') return {path: plain};
  if (kind === 'json') {
    try {
      return JSON.parse(plain) as Json;
    } catch {
      return text;
    }
  }
  const isExact = plain.replace(/\D/g, '').length <= EXACT_DIGITS;
  return (kind === 'integer' ? INTEGER : NUMBER).test(plain) && isExact ? Number(plain) : plain;
}

/** What is plainly wrong with a text, before the kernel is asked. */
export function mistake(text: string, kind: ControlKind): string {
  const plain = text.trim();
  if (plain === '') return '';
  if (kind === 'integer' && !INTEGER.test(plain)) return 'A whole number is needed.';
  if (kind === 'number' && !NUMBER.test(plain) && !/^[+-]?(inf(inity)?|nan)$/i.test(plain)) return 'A number is needed.';
  return '';
}

export function isObject(value: Json | undefined): value is {[name: string]: Json} {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

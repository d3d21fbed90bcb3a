/**
 * The form document and its messages, as docs/explorer.md defines them.
 * Mirrors flyte_nb/notebook/forms/forms.py and form_fields.py; change both together.
 */
import type {RunDocument} from '../document.js';
import type {Json, Schema} from './schema.js';

/** What the reader gave for a field: nothing (its default), a JSON value, Python, or an earlier run's value. */
export interface Entry {
  json?: Json;
  expression?: string;
  recorded?: true;
}

export interface FormField {
  name: string;
  type: string;
  help: string;
  required: boolean;
  /** The default as text; empty where there is none. */
  default: string;
  /** What an earlier run was given, as text; empty where there is none. */
  recorded: string;
  /** null where JSON cannot say the values: they are given as Python expressions. */
  schema: Schema | null;
  /** Texts that are often meant. */
  suggestions: string[];
  /** Variables of the notebook that fit. */
  names: string[];
  entry: Entry;
}

export interface FormDocument {
  version: number;
  form: string;
  title: string;
  text: string;
  submit: string;
  /** Whether Python expressions may stand for values. */
  expressions: boolean;
  code: string;
  fields: FormField[];
}

/** What is wrong: with a field, at a place inside its value; with the form as a whole where `field` is empty. */
export interface Problem {
  field: string;
  path: (string | number)[];
  message: string;
}

export interface FormAsk {
  kind: 'form';
  form: string;
  ask: string;
  do: 'check' | 'submit';
  entries: Record<string, Entry>;
}

export interface FormAnswer {
  kind: 'form';
  form: string;
  ask: string;
  problems: Problem[];
  /** The code that the entries stand for; empty while they do not fit. */
  code?: string;
  submitted?: boolean;
  text?: string;
  /** The run that was started, and its document as it stood then. */
  run?: string;
  doc?: RunDocument;
}

/** The way to the kernel that made the form. */
export interface FormPort {
  send(message: FormAsk): void;
  /** Returns the function that stops listening. */
  onMessage(listener: (message: FormAnswer) => void): () => void;
}

/** The addresses of flyte_nb's part of the Jupyter server (flyte_nb/server/handlers.py), as functions. */
import {URLExt} from '@jupyterlab/coreutils';
import {ServerConnection} from '@jupyterlab/services';
import type {Detail, GraphAnswer, RunDocument} from './view/document.js';
import type {RunPage} from './view/history.js';

const ADDRESS = 'flyte-nb';
const MISSING =
  "flyte_nb's part of the Jupyter server does not answer. Restart the server, or enable it first: " +
  'jupyter server extension enable flyte_nb.server';

/** A store as the server names it. */
export interface StoreName {
  store: string;
  /** Its project, for people. */
  title: string;
}

/** What goes on in a store; without the numbers while its revision is the known one. */
export interface Activity {
  revision: string;
  live_runs?: number;
  running_actions?: number;
}

/** Whether `flyte-nb serve` serves a store, where, and what it said last. */
export interface Serving {
  serving: boolean;
  address: string;
  /** Whether it runs deployed tasks when clients ask for it. */
  execute: boolean;
  log: string[];
  /** Of the store, for people. */
  project: string;
}

/** What the runs of a store can be filtered by. */
export interface Choices {
  tasks: string[];
  notebooks: string[];
  labels: string[];
}

type Query = Record<string, string | number | readonly string[] | undefined>;

export class RunsServer {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** The store of a notebook's project; on request also all that there are, which takes a search of the disk. */
  stores(notebook: string, all: boolean): Promise<{store: StoreName; stores: StoreName[]}> {
    return this.ask('stores', {notebook, all: all ? 'true' : ''});
  }

  activity(store: string, known: string): Promise<Activity> {
    return this.ask('activity', {store, known});
  }

  choices(store: string): Promise<Choices> {
    return this.ask('choices', {store});
  }

  runs(store: string, wanted: Query): Promise<RunPage> {
    return this.ask('runs', {store, ...wanted});
  }

  run(store: string, run: string): Promise<RunDocument> {
    return this.ask(`runs/${encodeURIComponent(run)}`, {store});
  }

  detail(store: string, run: string, action: string): Promise<Detail> {
    return this.ask(`runs/${encodeURIComponent(run)}/actions/${encodeURIComponent(action)}`, {store});
  }

  graph(store: string, run: string): Promise<Omit<GraphAnswer, 'kind'>> {
    return this.ask(`runs/${encodeURIComponent(run)}/graph`, {store});
  }

  /** Ends a run, or one action of it; resolves when that is recorded. */
  abort(store: string, run: string, action = ''): Promise<unknown> {
    const body = JSON.stringify({action});
    return this.ask(`runs/${encodeURIComponent(run)}/abort`, {store}, {method: 'POST', body});
  }

  /** Answers a condition; resolves when that is recorded. */
  answer(store: string, run: string, action: string, value: boolean | string): Promise<unknown> {
    const body = JSON.stringify({action, value});
    return this.ask(`runs/${encodeURIComponent(run)}/answer`, {store}, {method: 'POST', body});
  }

  serving(store: string): Promise<Serving> {
    return this.ask('serving', {store});
  }

  /** Resolves when the store is served. */
  serve(store: string, execute: boolean): Promise<Serving> {
    return this.ask('serving', {store}, {method: 'POST', body: JSON.stringify({execute})});
  }

  stopServing(store: string): Promise<Serving> {
    return this.ask('serving', {store}, {method: 'DELETE'});
  }

  /** Rejects with an error whose message is for people. */
  private async ask<Answer>(path: string, query: Query, init: RequestInit = {}): Promise<Answer> {
    const url = URLExt.join(this.settings.baseUrl, ADDRESS, path) + search(query);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    const answer: unknown = await response.json().catch(() => null);
    if (response.ok && answer !== null) return answer as Answer;
    const {message} = (answer ?? {}) as {message?: unknown};
    throw new Error(typeof message === 'string' ? message : MISSING);
  }
}

/** The query of an address; what is empty or undefined is left out. */
function search(query: Query): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== '') parts.append(name, String(each));
    }
  }
  return `?${parts}`;
}

/** What went wrong, for people. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Requests with the answers of a reference API server, and how two answers are compared: what differs from one run to the next (UIDs,
 * times, resource versions, tokens) is masked on both sides.
 */
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export interface Step {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; a string is sent as it is. `{{saved.metadata.uid}}` is replaced by a field of an earlier answer. */
  readonly body?: unknown;
  /** Name that later steps know this answer by. */
  readonly save?: string;
  /** A watch: how many events to read. */
  readonly events?: number;
  /** The answer is compared as the text that it is: order of fields, escapes, blanks. Nothing is ignored of it but the descriptions of columns. */
  readonly text?: boolean;
  /** Dotted paths of the answer that are not compared: defaults that came with later releases. */
  readonly ignore?: readonly string[];
}
export interface Answer {
  readonly code: number;
  readonly contentType: string;
  readonly warnings?: readonly string[];
  /** JSON, or the text where it is none; for a watch a list of events. */
  readonly body: unknown;
}
export interface Vector extends Step {
  /** Absent: the request is made for what it changes; the recorded release answers it otherwise than this one. */
  readonly answer?: Answer;
}
/** What a file holds: requests that are made one after another on a fresh server. */
export interface Scenario {
  readonly about: string;
  /** Managed fields are compared too. */
  readonly managedFields?: boolean;
  /** As {@link Step.ignore}, for all answers. */
  readonly ignore?: readonly string[];
  readonly steps: readonly Vector[];
}

export interface Target {
  readonly url: string;
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly rejectUnauthorized?: boolean };
  readonly headers?: Readonly<Record<string, string>>;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
/** Dropped where a scenario does not ask for them. */
const MANAGED = 'managedFields';

function maskText(key: string, text: string): string {
  if (key === 'resourceVersion' && /^[1-9]\d*$/.test(text)) return '<version>';
  if (key === 'continue' && text !== '') return '<token>';
  return text.replaceAll(UUID, '<uid>').replaceAll(TIME, '<time>').replaceAll(/(resource version: |ResourceVersion[^\d"]*)\d+(, current: \d+| \(\d+\))?/g, '$1<version>');
}
const ownerOf = (entry: unknown): string => JSON.stringify(entry, ['manager', 'operation', 'subresource']);
/** The value with everything masked that differs from run to run. */
export function mask(value: unknown, managedFields = false, key = ''): unknown {
  if (typeof value === 'string') return maskText(key, value);
  if (Array.isArray(value)) {
    const items = value.map((item) => mask(item, managedFields, key));
    // Their order is that of their times, by the second: it differs from run to run.
    return key === 'managedFields' ? items.toSorted((a, b) => (ownerOf(a) < ownerOf(b) ? -1 : 1)) : items;
  }
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([name]) => name !== MANAGED || managedFields);
  return Object.fromEntries(kept.map(([name, child]) => [name, mask(child, managedFields, name)]));
}

/** The text with the same masked that {@link mask} masks; descriptions, which are upstream's own words, are left out. */
function maskRaw(text: string): string {
  const plain = text.replaceAll(/("format": ?"[^"]*",\s*"description": ?)"(?:[^"\\]|\\.)*"/g, '$1"<text>"').replaceAll(/("?resourceVersion"?: ?")[1-9]\d*"/g, '$1<version>"');
  return plain.replaceAll(/("continue": ?")[^"]+"/g, '$1<token>"').replaceAll(/("token": ?")ey[^"]+"/g, '$1<token>"').replaceAll(/"\d+s"/g, '"<age>"').replaceAll(UUID, '<uid>').replaceAll(TIME, '<time>');
}

/** A copy without what lies at the dotted paths; `*` stands for any name or index. */
export function without(value: unknown, paths: readonly string[]): unknown {
  const copy = structuredClone(value);
  for (const path of paths) drop(copy, path.split('.'));
  return copy;
}
function drop(value: unknown, [head, ...rest]: readonly string[]): void {
  if (value === null || typeof value !== 'object' || head === undefined) return;
  const object = value as Record<string, unknown>;
  for (const name of head === '*' ? Object.keys(object) : [head]) {
    if (rest.length) drop(object[name], rest);
    else if (Array.isArray(value)) value[Number(name)] = null;
    else delete object[name];
  }
}

function fill(text: string, saved: ReadonlyMap<string, unknown>): string {
  return text.replaceAll(/\{\{([\w-]+)\.([\w.]+)\}\}/g, (_, name: string, path: string) => {
    const found = path.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], saved.get(name));
    if (found === undefined) throw new Error(`the answer "${name}" has no ${path}`);
    return String(found);
  });
}

/** Makes requests of one scenario; remembers the answers that later ones refer to. */
export class Replay {
  readonly #target: Target;
  readonly #agent: Agent;
  readonly #saved = new Map<string, unknown>();
  constructor(target: Target) {
    this.#target = target;
    this.#agent = new Agent({ keepAlive: true, ...target.tls });
  }
  close(): void {
    this.#agent.destroy();
  }
  async answer(step: Step, scenario: Pick<Scenario, 'managedFields' | 'ignore'> = {}): Promise<Answer> {
    const message = await this.#open(step);
    const text = step.events === undefined ? await textOf(message) : undefined;
    const raw = text === undefined ? await eventsOf(message, step.events!, step.text) : parse(text);
    if (step.save !== undefined) this.#saved.set(step.save, raw);
    const warnings = warningsOf(message.headers);
    return { code: message.statusCode!, contentType: message.headers['content-type'] ?? '', ...(warnings.length ? { warnings } : {}), body: step.text ? maskRaw(text ?? String(raw)) : without(mask(raw, scenario.managedFields), [...(scenario.ignore ?? []), ...(step.ignore ?? [])]) };
  }
  #open(step: Step): Promise<IncomingMessage> {
    const bytes = step.body === undefined ? undefined : Buffer.from(fill(typeof step.body === 'string' ? step.body : JSON.stringify(step.body), this.#saved));
    const headers = { ...this.#target.headers, ...(bytes ? { 'content-type': 'application/json', 'content-length': String(bytes.length) } : {}), ...step.headers };
    return new Promise((resolve, reject) => {
      const request = httpsRequest(`${this.#target.url}${fill(step.path, this.#saved)}`, { method: step.method, agent: this.#agent, headers }, resolve);
      request.on('error', reject);
      request.end(bytes);
    });
  }
}
function warningsOf(headers: IncomingHttpHeaders): string[] {
  const header = headers['warning'];
  return header === undefined ? [] : [...String(header).matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map((m) => m[1]!);
}
async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
/** The first events of a stream, which is then given up. An answer that is no stream comes whole. */
/** The first events; with `asText` their lines as one text. */
async function eventsOf(message: IncomingMessage, count: number, asText = false): Promise<unknown> {
  if (message.statusCode !== 200) return parse(await textOf(message));
  const events: string[] = [];
  let rest = '';
  for await (const chunk of message) {
    rest += (chunk as Buffer).toString();
    const lines = rest.split('\n');
    rest = lines.pop()!;
    events.push(...lines.filter((line) => line !== ''));
    if (events.length >= count) break;
  }
  message.destroy();
  const first = events.slice(0, count);
  return asText ? first.map((line) => `${line}\n`).join('') : first.map((line) => JSON.parse(line) as unknown);
}

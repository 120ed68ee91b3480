/**
 * YAML as kubectl reads and prints it (YAML 1.1, `sigs.k8s.io/yaml`). `js-yaml` splits the text into events; this file makes values of
 * them, with limits on nesting and on what aliases may expand to. {@link dumpYaml} is in `yaml-dump.ts`.
 *
 * Objects come out as plain JSON values: keys are strings, dates are strings, a key that comes twice keeps its last value.
 */
import { EVENT_ID, getScalarValue, parseEvents, SCALAR_STYLE, YAMLException, type Event, type ScalarEvent } from 'js-yaml';
import { setOwn } from '#base/own.ts';
import { goQuote } from './go-text.ts';
import { MAX_DEPTH, readJson } from './json.ts';
import { syntaxError, YamlError } from './yaml-errors.ts';
import { resolvePlain, type Scalar } from './yaml-scalars.ts';

export { dumpYaml } from './yaml-dump.ts';
export { YamlError } from './yaml-errors.ts';

export interface YamlOptions {
  /** Refuse a key that comes twice: `yaml: unmarshal errors:\n  line 3: key "a" already set in map`. */
  readonly strict?: boolean;
}

type Value = Scalar | Value[] | { [key: string]: Value };
type ScalarNode = { readonly kind: 'scalar'; readonly text: string; readonly value: Scalar; readonly plain: boolean; readonly line: number };
type Node =
  | ScalarNode
  | { readonly kind: 'list'; readonly items: Node[]; readonly line: number }
  | { readonly kind: 'map'; readonly pairs: [Node, Node][]; readonly line: number }
  | { readonly kind: 'alias'; readonly name: string; readonly target: Node; readonly line: number };

const TAG_PREFIX = 'tag:yaml.org,2002:';

/** Turns events of one document into a tree, aliases still unresolved. */
class Composer {
  readonly #text: string;
  readonly #events: readonly Event[];
  readonly #anchors = new Map<string, Node>();
  readonly #lineStarts: number[] = [0];
  #at = 0;

  constructor(text: string, events: readonly Event[]) {
    this.#text = text;
    this.#events = events;
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) this.#lineStarts.push(i + 1);
  }

  /** The root of the next document; undefined when there is none or it is empty. */
  document(): Node | undefined {
    const start = this.#events[this.#at++];
    if (start === undefined) return undefined;
    return this.#events[this.#at]!.type === EVENT_ID.POP ? undefined : this.#node();
  }

  #lineOf(position: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#lineStarts[middle]! <= position) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  #node(): Node {
    const event = this.#events[this.#at++]!;
    switch (event.type) {
      case EVENT_ID.ALIAS: {
        const name = this.#text.slice(event.anchorStart, event.anchorEnd);
        const target = this.#anchors.get(name);
        if (!target) throw new YamlError(`yaml: unknown anchor '${name}' referenced`);
        return { kind: 'alias', name, target, line: this.#lineOf(event.anchorStart) };
      }
      case EVENT_ID.SCALAR: {
        const text = getScalarValue(this.#text, event);
        const node: Node = { kind: 'scalar', text, value: this.#scalarValue(event, text), plain: event.style === SCALAR_STYLE.PLAIN, line: this.#lineOf(event.valueStart) };
        return this.#anchored(event, node);
      }
      case EVENT_ID.SEQUENCE: {
        const node: Node = { kind: 'list', items: [], line: this.#lineOf(event.start) };
        this.#anchored(event, node);
        while (this.#events[this.#at]!.type !== EVENT_ID.POP) node.items.push(this.#node());
        this.#at++;
        return node;
      }
      case EVENT_ID.MAPPING: {
        const node: Node = { kind: 'map', pairs: [], line: this.#lineOf(event.start) };
        this.#anchored(event, node);
        while (this.#events[this.#at]!.type !== EVENT_ID.POP) node.pairs.push([this.#node(), this.#node()]);
        this.#at++;
        return node;
      }
      default:
        throw new YamlError('yaml: unexpected end of document');
    }
  }
  #anchored(event: { anchorStart: number; anchorEnd: number }, node: Node): Node {
    if (event.anchorStart >= 0) this.#anchors.set(this.#text.slice(event.anchorStart, event.anchorEnd), node);
    return node;
  }

  #scalarValue(event: ScalarEvent, text: string): Scalar {
    const tag = event.tagStart < 0 ? undefined : shortTag(this.#text.slice(event.tagStart, event.tagEnd));
    if (tag === undefined) return event.style === SCALAR_STYLE.PLAIN ? resolvePlain(text) : text;
    return taggedValue(tag, text);
  }
}

function shortTag(written: string): string {
  const tag = written.startsWith('!<') ? written.slice(2, -1) : written;
  if (tag.startsWith(TAG_PREFIX)) return `!!${tag.slice(TAG_PREFIX.length)}`;
  return tag;
}

function taggedValue(tag: string, text: string): Scalar {
  const wrong = (is: string): YamlError => new YamlError(`yaml: cannot decode ${is} \`${text}\` as a ${tag}`);
  const resolved = resolvePlain(text);
  switch (tag) {
    case '!!bool':
      if (typeof resolved !== 'boolean') throw wrong('!!str');
      return resolved;
    case '!!null':
      if (resolved !== null) throw wrong('!!str');
      return null;
    case '!!int':
      if (typeof resolved !== 'bigint' && !Number.isInteger(resolved)) throw wrong(typeof resolved === 'number' ? '!!float' : '!!str');
      return resolved;
    case '!!float':
      if (typeof resolved !== 'number' && typeof resolved !== 'bigint') throw wrong('!!str');
      return Number(resolved);
    case '!!binary': return Buffer.from(text, 'base64').toString('utf8');
    default: return text; // !!str, !!timestamp, and tags of applications
  }
}

/** Below so many nodes nearly all may come from aliases; above the other limit a tenth. In between the share shrinks. */
const ALIAS_LOW = 400_000;
const ALIAS_HIGH = 4_000_000;
function allowedAliasRatio(nodes: number): number {
  if (nodes <= ALIAS_LOW) return 0.99;
  if (nodes >= ALIAS_HIGH) return 0.1;
  return 0.99 - 0.89 * ((nodes - ALIAS_LOW) / (ALIAS_HIGH - ALIAS_LOW));
}

/** Makes JSON values of a tree. Every alias becomes a copy. */
class Builder {
  readonly #strict: boolean;
  readonly #open = new Set<Node>();
  readonly problems: string[] = [];
  #nodes = 0;
  #aliased = 0;
  #aliasDepth = 0;
  #depth = 0;

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  build(node: Node): Value {
    this.#count();
    switch (node.kind) {
      case 'scalar':
        if (typeof node.value === 'number' && !Number.isFinite(node.value)) throw new YamlError(`json: unsupported value: ${Number.isNaN(node.value) ? 'NaN' : node.value > 0 ? '+Inf' : '-Inf'}`);
        return node.value;
      case 'list':
        return this.#nested(() => node.items.map((item) => this.build(item)));
      case 'map':
        return this.#nested(() => this.#fill({}, node.pairs));
      case 'alias':
        return this.#follow(node.name, node.target, () => this.build(node.target));
    }
  }
  #nested<T>(body: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new YamlError('yaml: exceeded max depth');
    const out = body();
    this.#depth--;
    return out;
  }
  #follow<T>(name: string, target: Node, body: () => T): T {
    if (this.#open.has(target)) throw new YamlError(`yaml: anchor '${name}' value contains itself`);
    this.#open.add(target);
    this.#aliasDepth++;
    const out = body();
    this.#aliasDepth--;
    this.#open.delete(target);
    return out;
  }
  #count(): void {
    this.#nodes++;
    if (this.#aliasDepth > 0) this.#aliased++;
    if (this.#aliased > 100 && this.#nodes > 1000 && this.#aliased / this.#nodes > allowedAliasRatio(this.#nodes)) {
      throw new YamlError('yaml: document contains excessive aliasing');
    }
  }

  #fill(out: { [key: string]: Value }, pairs: readonly [Node, Node][]): { [key: string]: Value } {
    for (const [keyNode, valueNode] of pairs) {
      if (keyNode.kind === 'scalar' && keyNode.plain && keyNode.text === '<<') {
        this.#merge(out, valueNode);
        continue;
      }
      const key = this.#key(keyNode);
      const value = this.build(valueNode);
      if (this.#strict && Object.hasOwn(out, key)) this.problems.push(`line ${valueNode.line}: key ${goQuote(key)} already set in map`);
      setOwn(out, key, value);
    }
    return out;
  }
  /** Earlier maps of a list win over later ones; keys written out win over both when they come after the merge. */
  #merge(out: { [key: string]: Value }, node: Node): void {
    this.#count();
    if (node.kind === 'map') this.#nested(() => this.#fill(out, node.pairs));
    else if (node.kind === 'alias' && node.target.kind === 'map') this.#follow(node.name, node.target, () => this.#merge(out, node.target));
    else if (node.kind === 'list') for (const item of node.items.toReversed()) this.#mergeItem(out, item);
    else throw new YamlError('yaml: map merge requires map or sequence of maps as the value');
  }
  #mergeItem(out: { [key: string]: Value }, item: Node): void {
    if (item.kind === 'list' || item.kind === 'scalar') throw new YamlError('yaml: map merge requires map or sequence of maps as the value');
    this.#merge(out, item);
  }
  #key(node: Node): string {
    this.#count();
    const scalar = node.kind === 'alias' ? node.target : node;
    if (scalar.kind !== 'scalar') throw new YamlError(`yaml: invalid map key: ${JSON.stringify(this.build(node))}`);
    if (scalar.value === null) throw new YamlError('error converting YAML to JSON: unsupported map key of type: %!s(<nil>), key: <nil>');
    return String(scalar.value);
  }
}

function eventsOf(text: string): Event[] {
  try {
    return parseEvents(text, { maxDepth: MAX_DEPTH });
  } catch (err) {
    throw err instanceof YAMLException ? syntaxError(err, text) : err;
  }
}

/** JSON is YAML, and much quicker to read as what it is. Undefined where the text is not JSON after all. */
function asJson(text: string): { value: unknown } | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return { value: readJson(text) };
  } catch {
    return undefined;
  }
}

/** The value of the first document of a text; null for an empty one. Throws {@link YamlError}. */
export function parseYaml(text: string, options: YamlOptions = {}): unknown {
  const json = options.strict ? undefined : asJson(text);
  if (json) return json.value;
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const root = new Composer(body, eventsOf(body)).document();
  if (root === undefined) return null;
  const builder = new Builder(options.strict ?? false);
  const value = builder.build(root);
  if (builder.problems.length) throw new YamlError(`yaml: unmarshal errors:\n  ${builder.problems.join('\n  ')}`);
  return value;
}

/** What strict reading complains about; undefined where all is well. The text must be one that {@link parseYaml} reads. */
export function yamlStrictMessage(text: string): string | undefined {
  try {
    parseYaml(text, { strict: true });
    return undefined;
  } catch (err) {
    if (err instanceof YamlError) return err.message;
    throw err;
  }
}

/** The texts between lines that begin with `---`, as kubectl splits a file: what else is on such a line is dropped. */
export function splitYamlDocuments(text: string): string[] {
  return text.split(/\n---[^\n]*(?:\n|$)/);
}

/** The documents of a file, without the empty ones. Throws {@link YamlError} at the first that is broken. */
export function parseYamlDocuments(text: string, options: YamlOptions = {}): unknown[] {
  return splitYamlDocuments(text).map((part) => parseYaml(part, options)).filter((value) => value !== null);
}

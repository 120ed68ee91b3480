/**
 * Unified diff of two values, as upstream shows what an update may not change: pretty JSON, three lines of context, the lines matched
 * by the Ratcliff-Obershelp method with its rule on frequent lines.
 */
import { writeJson } from '#machinery/json.ts';

interface Match {
  readonly a: number;
  readonly b: number;
  readonly size: number;
}
interface Opcode {
  readonly tag: 'equal' | 'replace' | 'delete' | 'insert';
  readonly a1: number;
  readonly a2: number;
  readonly b1: number;
  readonly b2: number;
}
const CONTEXT = 3;
/** From this many lines on, lines that make up more than one in a hundred do not start a match. */
const FREQUENT_FROM = 200;

class LineMatcher {
  readonly #a: readonly string[];
  readonly #b: readonly string[];
  readonly #positions = new Map<string, number[]>();

  constructor(a: readonly string[], b: readonly string[]) {
    this.#a = a;
    this.#b = b;
    for (const [i, line] of b.entries()) {
      const known = this.#positions.get(line);
      if (known) known.push(i);
      else this.#positions.set(line, [i]);
    }
    if (b.length < FREQUENT_FROM) return;
    const limit = Math.floor(b.length / 100) + 1;
    for (const [line, at] of this.#positions) if (at.length > limit) this.#positions.delete(line);
  }

  #longest(aLow: number, aHigh: number, bLow: number, bHigh: number): Match {
    let best: Match = { a: aLow, b: bLow, size: 0 };
    let lengths = new Map<number, number>();
    for (let i = aLow; i < aHigh; i++) {
      const next = new Map<number, number>();
      for (const j of this.#positions.get(this.#a[i]!) ?? []) {
        if (j < bLow) continue;
        if (j >= bHigh) break;
        const size = (lengths.get(j - 1) ?? 0) + 1;
        next.set(j, size);
        if (size > best.size) best = { a: i - size + 1, b: j - size + 1, size };
      }
      lengths = next;
    }
    let { a, b, size } = best;
    while (a > aLow && b > bLow && this.#a[a - 1] === this.#b[b - 1]) [a, b, size] = [a - 1, b - 1, size + 1];
    while (a + size < aHigh && b + size < bHigh && this.#a[a + size] === this.#b[b + size]) size += 1;
    return { a, b, size };
  }
  #blocks(aLow: number, aHigh: number, bLow: number, bHigh: number, into: Match[]): void {
    const match = this.#longest(aLow, aHigh, bLow, bHigh);
    if (match.size === 0) return;
    if (aLow < match.a && bLow < match.b) this.#blocks(aLow, match.a, bLow, match.b, into);
    into.push(match);
    if (match.a + match.size < aHigh && match.b + match.size < bHigh) this.#blocks(match.a + match.size, aHigh, match.b + match.size, bHigh, into);
  }
  opcodes(): Opcode[] {
    const blocks: Match[] = [];
    this.#blocks(0, this.#a.length, 0, this.#b.length, blocks);
    blocks.push({ a: this.#a.length, b: this.#b.length, size: 0 });
    const codes: Opcode[] = [];
    let [a, b] = [0, 0];
    for (const block of blocks) {
      const tag = a < block.a && b < block.b ? 'replace' : a < block.a ? 'delete' : b < block.b ? 'insert' : undefined;
      if (tag) codes.push({ tag, a1: a, a2: block.a, b1: b, b2: block.b });
      [a, b] = [block.a + block.size, block.b + block.size];
      if (block.size === 0) continue;
      const last = codes.at(-1);
      if (last?.tag === 'equal') codes[codes.length - 1] = { ...last, a2: a, b2: b };
      else codes.push({ tag: 'equal', a1: block.a, a2: a, b1: block.b, b2: b });
    }
    return codes;
  }
}

/** Groups of changes, each with its context. */
function grouped(codes: readonly Opcode[]): Opcode[][] {
  const list = [...codes];
  const first = list[0];
  if (first?.tag === 'equal') list[0] = { ...first, a1: Math.max(first.a1, first.a2 - CONTEXT), b1: Math.max(first.b1, first.b2 - CONTEXT) };
  const last = list.at(-1);
  if (last?.tag === 'equal') list[list.length - 1] = { ...last, a2: Math.min(last.a2, last.a1 + CONTEXT), b2: Math.min(last.b2, last.b1 + CONTEXT) };
  const groups: Opcode[][] = [];
  let group: Opcode[] = [];
  for (const code of list) {
    if (code.tag === 'equal' && code.a2 - code.a1 > 2 * CONTEXT) {
      group.push({ ...code, a2: Math.min(code.a2, code.a1 + CONTEXT), b2: Math.min(code.b2, code.b1 + CONTEXT) });
      groups.push(group);
      group = [{ ...code, a1: Math.max(code.a1, code.a2 - CONTEXT), b1: Math.max(code.b1, code.b2 - CONTEXT) }];
    } else group.push(code);
  }
  if (group.length > 0 && !(group.length === 1 && group[0]!.tag === 'equal')) groups.push(group);
  return groups;
}
function range(start: number, stop: number): string {
  const length = stop - start;
  return length === 1 ? String(start + 1) : `${length === 0 ? start : start + 1},${length}`;
}

const prettyLines = (value: unknown): string[] => writeJson(value, 1).split('\n');

/** The diff's text, '' for equal values; every line ends with a newline. */
export function unifiedDiff(before: unknown, after: unknown): string {
  const a = prettyLines(before);
  const b = prettyLines(after);
  const out: string[] = [];
  for (const group of grouped(new LineMatcher(a, b).opcodes())) {
    const [first, last] = [group[0]!, group.at(-1)!];
    out.push(`@@ -${range(first.a1, last.a2)} +${range(first.b1, last.b2)} @@`);
    for (const { tag, a1, a2, b1, b2 } of group) {
      if (tag === 'equal') out.push(...a.slice(a1, a2).map((line) => ` ${line}`));
      if (tag === 'replace' || tag === 'delete') out.push(...a.slice(a1, a2).map((line) => `-${line}`));
      if (tag === 'replace' || tag === 'insert') out.push(...b.slice(b1, b2).map((line) => `+${line}`));
    }
  }
  return out.map((line) => `${line}\n`).join('');
}

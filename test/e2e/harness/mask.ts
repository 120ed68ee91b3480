/** Comparing what kubectl prints with what upstream prints: whatever differs from run to run is masked, on both sides alike. */
import assert from 'node:assert/strict';

/** In order: the longer form before what it contains. */
const MASKS: readonly (readonly [pattern: RegExp, mask: string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'UID'],
  [/\b[0-9a-f]{64}\b/g, 'HASH'],
  // A pulled image has its digest, a loaded one only its configuration's.
  [/\b(docker\.io\/\S+@)?sha256:HASH\b/g, 'IMAGE-ID'],
  [/\bkube-api-access-[0-9a-z]{5}\b/g, 'kube-api-access-XXXXX'],
  [/\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}/g, 'TIME'],
  [/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})/g, 'TIME'],
  [/(\bresourceVersion: )"\d+"/g, '$1"VERSION"'],
  // How long a pull took, and how large the image is.
  [/ in \d+(\.\d+)?(ms|s|µs) \(\d+(\.\d+)?(ms|s|µs) including waiting\)\. Image size: \d+ bytes\./g, ' in TOOK. Image size: SIZE bytes.'],
  [/\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b/g, 'IP'],
  // Ages: 0s, 12s, 3m4s, 14m, 6h4m, 2d3h; `(x3 over 12s)`.
  [/\(x\d+ over AGE\)|\(x\d+ over (\d+[smhd]){1,2}\)/g, '(xN over AGE)'],
  [/(?<=(\s|\())(\d+[smhd]){1,2}(?= ago\)|\s|$)/gm, 'AGE'],
  [/<invalid>/g, 'AGE'], // kubectl 1.20 at less than a second, when its clock is a hair behind
];

/** Masks what changes, and makes every run of spaces one: the width of columns follows the values. */
export function mask(text: string): string {
  let out = text;
  for (const [pattern, to] of MASKS) out = out.replace(pattern, to);
  return out.split('\n').map((line) => line.trimEnd().replace(/(?<=\S)\s+/g, ' ')).join('\n').trim();
}
/** Asserts that a command printed what is expected, but for what changes from run to run. */
export function assertOutput(actual: string, expected: string): void {
  assert.equal(mask(actual), mask(expected));
}
/** The fields of a table's rows: split at two spaces or more. */
export function tableRows(text: string): string[][] {
  return text.trimEnd().split('\n').map((line) => line.trim().split(/\s{2,}|\t/));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalMicroTime, canonicalTime, timeParts } from './time.ts';

test('canonicalTime gives UTC and whole seconds', () => {
  const cases: [string, string][] = [
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z'], ['2026-01-02T03:04:05.999Z', '2026-01-02T03:04:05Z'], ['2026-01-02T01:04:05+02:00', '2026-01-01T23:04:05Z'], ['2026-12-31T23:59:59-00:30', '2027-01-01T00:29:59Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'], ['2026-01-02T3:04:05Z', '2026-01-02T03:04:05Z'], ['2026-01-02T03:04:05,5Z', '2026-01-02T03:04:05Z'], ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
  ];
  for (const [text, canonical] of cases) assert.equal(canonicalTime(text), canonical, text);
});

test('canonicalTime refuses in Go\'s words', () => {
  const layout = '"2006-01-02T15:04:05Z07:00"';
  const cases: [string, string][] = [
    ['', `parsing time "" as ${layout}: cannot parse "" as "2006"`], ['yesterday', `parsing time "yesterday" as ${layout}: cannot parse "yesterday" as "2006"`],
    ['2026-01-02', `parsing time "2026-01-02" as ${layout}: cannot parse "" as "T"`], ['2026-01-02 03:04:05Z', `parsing time "2026-01-02 03:04:05Z" as ${layout}: cannot parse " 03:04:05Z" as "T"`],
    ['2026-01-02T03:04:05', `parsing time "2026-01-02T03:04:05" as ${layout}: cannot parse "" as "Z07:00"`], ['2026-13-02T03:04:05Z', 'parsing time "2026-13-02T03:04:05Z": month out of range'],
    ['2026-02-29T03:04:05Z', 'parsing time "2026-02-29T03:04:05Z": day out of range'], ['2026-01-02T24:04:05Z', 'parsing time "2026-01-02T24:04:05Z": hour out of range'],
    ['2026-01-02T03:04:05Zx', 'parsing time "2026-01-02T03:04:05Zx": extra text: "x"'],
  ];
  for (const [text, message] of cases) assert.throws(() => canonicalTime(text), { message });
});

test('canonical texts are taken as they are where there is such a day', () => {
  for (const day of ['2026-01-31', '2026-04-30', '2026-11-29', '2028-02-29', '2000-02-29', '2026-12-31']) {
    assert.equal(canonicalTime(`${day}T23:59:59Z`), `${day}T23:59:59Z`);
    assert.equal(canonicalMicroTime(`${day}T23:59:59.000001Z`), `${day}T23:59:59.000001Z`);
  }
  for (const day of ['2026-01-32', '2026-04-31', '2026-11-00', '2026-02-29', '1900-02-29']) {
    assert.throws(() => canonicalTime(`${day}T00:00:00Z`), /day out of range/);
    assert.throws(() => canonicalMicroTime(`${day}T00:00:00.000000Z`), /day out of range/);
  }
  for (const [time, part] of [['24:00:00', 'hour'], ['23:60:00', 'minute'], ['23:59:60', 'second']] as const) assert.throws(() => canonicalTime(`2026-01-01T${time}Z`), new RegExp(`${part} out of range`));
});

test('canonicalMicroTime wants exactly six digits', () => {
  assert.equal(canonicalMicroTime('2026-01-02T03:04:05.000001Z'), '2026-01-02T03:04:05.000001Z');
  assert.equal(canonicalMicroTime('2026-01-02T03:04:05.123456+01:00'), '2026-01-02T02:04:05.123456Z');
  assert.throws(() => canonicalMicroTime('2026-01-02T03:04:05Z'), { message: 'parsing time "2026-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"' });
});

test('timeParts gives seconds and nanoseconds', () => {
  assert.deepEqual(timeParts('1970-01-01T00:00:01.5Z'), { seconds: 1, nanos: 500_000_000 });
  assert.deepEqual(timeParts('0001-01-01T00:00:00Z'), { seconds: -62135596800, nanos: 0 });
});

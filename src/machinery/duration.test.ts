import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ageOf, formatDuration, formatDurationMs, humanDuration, parseDuration, parseDurationMs, shortHumanDuration } from './duration.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('humanDuration shows two or three significant figures', () => {
  const cases: [number, string][] = [
    [0, '0s'], [-SECOND, '0s'], [-1500, '0s'], [-2 * SECOND, '<invalid>'], [10 * SECOND, '10s'], [119 * SECOND, '119s'], [2 * MINUTE, '2m'], [7 * MINUTE + 49 * SECOND, '7m49s'],
    [9 * MINUTE + 59 * SECOND, '9m59s'], [10 * MINUTE + SECOND, '10m'], [14 * MINUTE, '14m'], [179 * MINUTE, '179m'], [3 * HOUR, '3h'], [6 * HOUR + 4 * MINUTE, '6h4m'], [7 * HOUR + 59 * MINUTE, '7h59m'],
    [8 * HOUR + 59 * MINUTE, '8h'], [47 * HOUR, '47h'], [48 * HOUR, '2d'], [49 * HOUR, '2d1h'], [7 * DAY + 23 * HOUR, '7d23h'], [8 * DAY + HOUR, '8d'], [14 * DAY, '14d'], [729 * DAY, '729d'],
    [730 * DAY, '2y'], [760 * DAY, '2y30d'], [8 * 365 * DAY + 40 * DAY, '8y'],
  ];
  for (const [ms, text] of cases) assert.equal(humanDuration(ms), text, String(ms));
});

test('shortHumanDuration shows one unit', () => {
  assert.deepEqual([59 * SECOND, 90 * SECOND, 25 * HOUR, 23 * HOUR, 800 * DAY, -5 * SECOND, -SECOND].map(shortHumanDuration), ['59s', '1m', '1d', '23h', '2y', '<invalid>', '0s']);
});

test('parseDuration reads what Go reads', () => {
  const cases: [string, bigint][] = [['0', 0n], ['5s', 5_000_000_000n], ['1h15m30.918s', 4_530_918_000_000n], ['-1.5h', -5_400_000_000_000n], ['+5ms', 5_000_000n], ['.5s', 500_000_000n], ['1.s', 1_000_000_000n], ['3us', 3000n], ['3µs', 3000n], ['1ns', 1n]];
  for (const [text, nanos] of cases) assert.equal(parseDuration(text), nanos, text);
  assert.equal(parseDurationMs('250us'), 0.25);
});

test('parseDuration refuses in Go\'s words', () => {
  const cases: [string, string][] = [
    ['', 'time: invalid duration ""'], ['3', 'time: missing unit in duration "3"'], ['-', 'time: invalid duration "-"'], ['s', 'time: invalid duration "s"'], ['.s', 'time: invalid duration ".s"'],
    ['1d', 'time: unknown unit "d" in duration "1d"'], ['1m3', 'time: missing unit in duration "1m3"'], ['9999999h', 'time: invalid duration "9999999h"'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseDuration(text), { message });
});

test('formatDuration prints as Go does', () => {
  const cases: [bigint, string][] = [[0n, '0s'], [1n, '1ns'], [1100n, '1.1µs'], [2_200_000n, '2.2ms'], [3_300_000_000n, '3.3s'], [245_000_000_000n, '4m5s'], [245_001_000_000n, '4m5.001s'], [3_600_000_000_000n, '1h0m0s'], [-1_500_000_000n, '-1.5s']];
  for (const [nanos, text] of cases) assert.equal(formatDuration(nanos), text);
  assert.equal(formatDurationMs(1500), '1.5s');
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), (nanos) => assert.equal(parseDuration(formatDuration(nanos)), nanos)));
});

test('ageOf shows <unknown> where there is no time', () => {
  assert.equal(ageOf(undefined, 0), '<unknown>');
  assert.equal(ageOf('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:25Z')), '25s');
});

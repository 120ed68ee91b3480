import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalQuantity, milliQuantityOf, parseQuantity, Quantity, QuantityError, quantityOf } from './quantity.ts';

test('parseQuantity prints the canonical form', () => {
  const cases: [string, string][] = [
    ['0', '0'], ['0Ki', '0'], ['-0', '0'], ['1', '1'], ['100m', '100m'], ['0.1', '100m'], ['1.5', '1500m'], ['1.5Gi', '1536Mi'], ['1024', '1024'],
    ['1024Ki', '1Mi'], ['1000', '1k'], ['1000m', '1'], ['1500000', '1500k'], ['12e6', '12e6'], ['1200e4', '12e6'], ['1e3', '1e3'], ['1E3', '1E3'],
    ['10e2', '1e3'], ['1e1', '10'], ['0.5Mi', '512Ki'], ['0.5Ki', '512'], ['1.1Ki', '1126400m'], ['500Ki', '500Ki'], ['1Ei', '1Ei'], ['4096Mi', '4Gi'], ['.5', '500m'],
    ['1.', '1.'], ['+5', '+5'], ['-5', '-5'], ['-1.5', '-1500m'], ['1u', '1u'], ['1n', '1n'], ['1000n', '1u'], ['100Ti', '100Ti'], ['128974848', '128974848'],
    ['129e6', '129e6'], ['129M', '129M'], ['123Mi', '123Mi'], ['1000E', '1000E'], ['1E', '1E'], ['64', '64'], ['1000000000000000000000', '1000E'], ['1.500', '1.500'], ['1.50', '1500m'],
  ];
  for (const [text, canonical] of cases) assert.equal(parseQuantity(text).toString(), canonical, text);
});

test('parseQuantity rounds what is finer than a nano away from zero', () => {
  assert.equal(parseQuantity('0.1n').toString(), '1n');
  assert.equal(parseQuantity('1.0000000001').toString(), '1000000001n');
  assert.equal(parseQuantity('-0.1n').toString(), '-1n');
  assert.equal(parseQuantity('1e-2000').toString(), '1e-9');
  assert.equal(parseQuantity('0.00000000000000000Ki').toString(), '0');
  assert.equal(parseQuantity('0.0001Ki').toString(), '102400u');
});

test('parseQuantity caps binary amounts at 2^63-1', () => {
  assert.equal(parseQuantity('9Ei').value(), 2n ** 63n - 1n);
  assert.equal(parseQuantity('8Ei').toString(), '9223372036854775807');
  assert.equal(parseQuantity('-100Ei').value(), -(2n ** 63n - 1n));
});

test('parseQuantity refuses in upstream\'s words', () => {
  const format = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  const suffix = "unable to parse quantity's suffix";
  const cases: [string, string][] = [
    ['', format], ['abc', format], ['1.2.3', format], ['1 ', format], ['1Kib', format], ['--1', suffix], ['1e', suffix], ['1KiMi', suffix], ['1mi', suffix], ['1K', suffix], ['1eK', suffix],
    ['5-3', suffix], ['1e99999999', suffix], ['9'.repeat(2000), 'unable to parse numeric part of quantity'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseQuantity(text), (e) => e instanceof QuantityError && e.message === message, text);
});

test('Quantity value and milliValue round up', () => {
  assert.equal(parseQuantity('1500m').value(), 2n);
  assert.equal(parseQuantity('-1500m').value(), -2n);
  assert.equal(parseQuantity('1u').milliValue(), 1n);
  assert.equal(parseQuantity('1.5Gi').value(), 1610612736n);
  assert.equal(parseQuantity('2').milliValue(), 2000n);
  assert.equal(parseQuantity('9E').milliValue(), 2n ** 63n - 1n);
  assert.equal(parseQuantity('250m').toNumber(), 0.25);
});

test('Quantity add and sub keep the first format unless it is zero', () => {
  assert.equal(parseQuantity('1Gi').add(parseQuantity('1M')).toString(), '1074741824');
  assert.equal(parseQuantity('1Gi').add(parseQuantity('1024Mi')).toString(), '2Gi');
  assert.equal(parseQuantity('0').add(parseQuantity('1Gi')).toString(), '1Gi');
  assert.equal(parseQuantity('1').sub(parseQuantity('250m')).toString(), '750m');
  assert.equal(parseQuantity('100m').mul(30).toString(), '3');
  assert.equal(quantityOf(2048, 'BinarySI').toString(), '2Ki');
  assert.equal(milliQuantityOf(1500).toString(), '1500m');
  assert.equal(parseQuantity('0.1').cmp(parseQuantity('100m')), 0);
  assert.equal(parseQuantity('1Ki').cmp(parseQuantity('1k')), 1);
});

test('canonicalQuantity takes numbers and texts with blanks around, as the decoder does', () => {
  assert.equal(canonicalQuantity(0.5), '500m');
  assert.equal(canonicalQuantity(' 1000m '), '1');
  assert.equal(canonicalQuantity(1e21), '1e21');
  assert.equal(canonicalQuantity('1000m'), canonicalQuantity('1000m'));
});

test('Quantity agrees with itself after printing, whatever the amount', () => {
  const suffixes = ['', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'E-3'];
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 0, max: 999999 }), fc.constantFrom(...suffixes), (whole, fraction, suffix) => {
    const q = parseQuantity(`${whole}.${fraction}${suffix}`);
    const again = parseQuantity(q.toString());
    assert.equal(again.cmp(q), 0);
    // A text in thousandths is kept as it was written (`1.500`); a computed one never has a point.
    const computed = new Quantity(0n, 0, q.format).add(again).toString();
    assert.doesNotMatch(computed, /\./);
    assert.equal(parseQuantity(computed).toString(), computed);
  }));
});

test('Quantity computes as exact fractions do', () => {
  /** Each suffix as a fraction. */
  const SUFFIXES: Readonly<Record<string, [bigint, bigint]>> = {
    n: [1n, 10n ** 9n], u: [1n, 10n ** 6n], m: [1n, 1000n], '': [1n, 1n], k: [1000n, 1n], M: [10n ** 6n, 1n], G: [10n ** 9n, 1n], T: [10n ** 12n, 1n], P: [10n ** 15n, 1n],
    Ki: [1024n, 1n], Mi: [1024n ** 2n, 1n], Gi: [1024n ** 3n, 1n], Ti: [1024n ** 4n, 1n], e3: [1000n, 1n], 'E-3': [1n, 1000n], e0: [1n, 1n],
  };
  const NANO = 10n ** 9n;
  const roundAway = (n: bigint, d: bigint): bigint => (n >= 0n ? (n + d - 1n) / d : -((-n + d - 1n) / d));
  const within64 = (n: bigint): bigint => (n > 2n ** 63n - 1n ? 2n ** 63n - 1n : n < -(2n ** 63n) ? -(2n ** 63n) : n);
  const amount = fc.record({ sign: fc.constantFrom('', '-', '+'), whole: fc.nat(99_999), digits: fc.stringMatching(/^\d{0,6}$/), suffix: fc.constantFrom(...Object.keys(SUFFIXES)) }).map(({ sign, whole, digits, suffix }) => {
    const [times, per] = SUFFIXES[suffix]!;
    const numerator = BigInt(`${whole}${digits}`) * times * (sign === '-' ? -1n : 1n);
    return { text: `${sign}${whole}${digits === '' ? '' : `.${digits}`}${suffix}`, nano: roundAway(numerator * NANO, 10n ** BigInt(digits.length) * per) };
  });
  const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);
  fc.assert(fc.property(amount, amount, (a, b) => {
    const [x, y] = [parseQuantity(a.text), parseQuantity(b.text)];
    assert.equal(x.cmp(y), compare(a.nano, b.nano), `${a.text} and ${b.text}`);
    assert.equal(x.sign(), compare(a.nano, 0n));
    for (const [sum, nano] of [[x.add(y), a.nano + b.nano], [x.sub(y), a.nano - b.nano]] as const) {
      assert.equal(sum.cmp(parseQuantity(`${nano}n`)), 0, `${a.text} and ${b.text}`);
      assert.equal(sum.value(), within64(roundAway(nano, NANO)));
      assert.equal(sum.milliValue(), within64(roundAway(nano, 10n ** 6n)));
    }
  }), { numRuns: 1000 });
});

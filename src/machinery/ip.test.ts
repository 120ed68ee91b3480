import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldPath } from './field-errors.ts';
import { cidrContains, cidrText, ipText, isValidCIDR, isValidCIDRForLegacyField, isValidInterfaceAddress, isValidIP, isValidIPForLegacyField, parseCIDR, parseIP, warningsForCIDR, warningsForIP } from './ip.ts';

test('parseIP and ipText give the canonical form', () => {
  const cases: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'], ['010.001.0.1', '10.1.0.1'], ['::', '::'], ['::1', '::1'], ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'], ['1:0:0:2:0:0:0:3', '1:0:0:2::3'], ['1:2:3:4:5:6:7:0', '1:2:3:4:5:6:7:0'],
    ['fe80::', 'fe80::'], ['::ffff:1.2.3.4', '1.2.3.4'], ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ];
  for (const [text, canonical] of cases) assert.equal(ipText(parseIP(text)!), canonical, text);
  for (const bad of ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a', '1::2::3', '1:2:3:4:5:6:7', '12345::', '::g', '1:2:3:4:5:6:7:8:9', '1.2.3.4 ', '1:2:3:4:5:6:7::8', '::1%eth0']) assert.equal(parseIP(bad), undefined, bad);
});

test('CIDRs are masked and contain', () => {
  assert.equal(cidrText(parseCIDR('10.1.2.3/16')!), '10.1.0.0/16');
  assert.equal(cidrText(parseCIDR('2001:db8::5/32')!), '2001:db8::/32');
  assert.equal(cidrContains(parseCIDR('10.244.0.0/16')!, parseIP('10.244.3.4')!), true);
  assert.equal(cidrContains(parseCIDR('10.244.0.0/16')!, parseIP('10.245.3.4')!), false);
  assert.equal(cidrContains(parseCIDR('::/0')!, parseIP('10.0.0.1')!), false);
  for (const bad of ['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/a', '/8']) assert.equal(parseCIDR(bad), undefined, bad);
});

test('isValidIP and isValidIPForLegacyField', () => {
  assert.deepEqual(isValidIP('10.0.0.1'), []);
  assert.deepEqual(isValidIP('a'), ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']);
  assert.deepEqual(isValidIP('10.0.0.01'), ['must not have leading 0s']);
  assert.deepEqual(isValidIP('::ffff:1.2.3.4'), ['must not be an IPv4-mapped IPv6 address']);
  assert.deepEqual(isValidIP('FE80::1'), ['must be in canonical form ("fe80::1")']);
  assert.deepEqual(isValidIPForLegacyField('FE80::1'), []);
  assert.deepEqual(isValidIPForLegacyField('10.0.0.01', ['10.0.0.01']), []);
});

test('isValidCIDR and its kin', () => {
  assert.deepEqual(isValidCIDR('10.0.0.0/8'), []);
  assert.deepEqual(isValidCIDR('10.0.0.0'), ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']);
  assert.deepEqual(isValidCIDR('10.0.0.1/8'), ['must not have bits set beyond the prefix length']);
  assert.deepEqual(isValidCIDR('10.0.0.0/08'), ['must not have leading 0s in IP or prefix length']);
  assert.deepEqual(isValidCIDR('::ffff:10.0.0.0/104'), ['must not have an IPv4-mapped IPv6 address']);
  assert.deepEqual(isValidCIDR('FE80::/64'), ['must be in canonical form ("fe80::/64")']);
  assert.deepEqual(isValidCIDRForLegacyField('FE80::/64'), []);
  assert.deepEqual(isValidInterfaceAddress('192.168.1.5/24'), []);
  assert.deepEqual(isValidInterfaceAddress('192.168.1.05/24'), ['must be in canonical form ("192.168.1.5/24")']);
});

test('warnings name the form to use', () => {
  const path = fieldPath('spec', 'clusterIP');
  assert.deepEqual(warningsForIP(path, '010.0.0.1'), ['spec.clusterIP: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"']);
  assert.deepEqual(warningsForIP(path, 'FE80::1'), ['spec.clusterIP: IPv6 address "FE80::1" should be in RFC 5952 canonical format ("fe80::1")']);
  assert.deepEqual(warningsForCIDR(path, '10.0.0.1/8'), ['spec.clusterIP: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)']);
  assert.deepEqual(warningsForCIDR(path, '10.0.0.0/8'), []);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldPath, type FieldError } from './field-errors.ts';
import * as names from './names.ts';

const SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test('isDNS1123Subdomain and isDNS1123Label', () => {
  for (const fine of ['a', 'a.b', '0', 'a-b.c9', 'a'.repeat(253)]) assert.deepEqual(names.isDNS1123Subdomain(fine), [], fine);
  for (const bad of ['', 'A', 'a_b', '-a', 'a-', 'a..b', '.a', 'a\n', 'ä']) assert.deepEqual(names.isDNS1123Subdomain(bad), [SUBDOMAIN], bad);
  assert.deepEqual(names.isDNS1123Subdomain('a'.repeat(254)), ['must be no more than 253 characters']);
  assert.deepEqual(names.isDNS1123Label('a.b'), ['must not contain dots']);
  assert.deepEqual(names.isDNS1123Label('A'), ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]);
  assert.deepEqual(names.isDNS1123Label('a'.repeat(64)), ['must be no more than 63 characters']);
  assert.match(names.isDNS1035Label('1a')[0]!, /^a DNS-1035 label must consist of .*\(e\.g\. 'my-name', {2}or 'abc-123', regex used for validation is '\[a-z\]\(\[-a-z0-9\]\*\[a-z0-9\]\)\?'\)$/);
  assert.deepEqual(names.isWildcardDNS1123Subdomain('*.a.b'), []);
  assert.equal(names.isWildcardDNS1123Subdomain('*.*.b').length, 1);
  assert.deepEqual(names.isDNS1123SubdomainWithUnderscore('_a.b_c'), []);
});

test('isQualifiedName', () => {
  for (const fine of ['a', 'A_b.c', 'example.com/a', '1']) assert.deepEqual(names.isQualifiedName(fine), [], fine);
  assert.deepEqual(names.isQualifiedName('/a'), ['prefix part must be non-empty']);
  assert.equal(names.isQualifiedName('')[0], 'name part must be non-empty');
  assert.deepEqual(names.isQualifiedName('a'.repeat(64)), ['name part must be no more than 63 bytes']);
  assert.deepEqual(names.isQualifiedName(`${'a'.repeat(254)}/a`), ['prefix part must be no more than 253 bytes']);
  assert.deepEqual(names.isQualifiedName('Bad/a'), [`prefix part ${SUBDOMAIN}`]);
  assert.match(names.isQualifiedName('a/b/c')[0]!, /^a valid label key must consist of .* with an optional DNS subdomain prefix and '\/' \(e\.g\. 'example\.com\/MyName'\)$/);
});

test('isValidLabelValue', () => {
  for (const fine of ['', 'a', 'A-b_c.9']) assert.deepEqual(names.isValidLabelValue(fine), []);
  assert.equal(names.isValidLabelValue('a b').length, 1);
  assert.equal(names.isValidLabelValue('-'.repeat(64)).length, 2);
});

test('ports, ids, percents and headers', () => {
  assert.deepEqual(names.isValidPortName('http-1'), []);
  assert.deepEqual(names.isValidPortName('-a--'), ['must not contain consecutive hyphens', 'must not begin or end with a hyphen']);
  assert.deepEqual(names.isValidPortName('HTTP'), ['must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)', 'must contain at least one letter (a-z)']);
  assert.deepEqual(names.isValidPortName('abcdefghijklmnop'), ['must be no more than 15 characters']);
  assert.deepEqual(names.isValidPortNum(0), ['must be between 1 and 65535, inclusive']);
  assert.deepEqual(names.isValidUserID(-1), ['must be between 0 and 2147483647, inclusive']);
  assert.deepEqual(names.isValidGroupID(2 ** 31), ['must be between 0 and 2147483647, inclusive']);
  assert.deepEqual(names.isValidPercent('50%'), []);
  assert.deepEqual(names.isValidPercent('50'), ["a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"]);
  assert.deepEqual(names.isHTTPHeaderName('X-A'), []);
  assert.equal(names.isHTTPHeaderName('X A').length, 1);
});

test('environment variables, config keys, identifiers and path segments', () => {
  assert.deepEqual(names.isEnvVarName('A.b-c'), []);
  assert.equal(names.isEnvVarName('1A').length, 1);
  assert.deepEqual(names.isEnvVarName('..a'), ["must not start with '..'"]);
  assert.deepEqual(names.isRelaxedEnvVarName('1 A!'), []);
  assert.deepEqual(names.isRelaxedEnvVarName('a=b'), ["a valid environment variable name must consist only of printable ASCII characters other than '='"]);
  assert.deepEqual(names.isRelaxedEnvVarName(''), ['environment variable name must be non-empty']);
  assert.deepEqual(names.isConfigMapKey('a.B_c-1'), []);
  assert.deepEqual(names.isConfigMapKey('.'), ["must not be '.'"]);
  assert.deepEqual(names.isConfigMapKey('a/b'), ["a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"]);
  assert.deepEqual(names.isCIdentifier('_a1'), []);
  assert.equal(names.isCIdentifier('1a').length, 1);
  assert.deepEqual(names.isPathSegmentName('system:a'), []);
  assert.deepEqual(names.isPathSegmentName('a/b%'), ["may not contain '/'", "may not contain '%'"]);
  assert.deepEqual(names.isPathSegmentName('..'), ["may not be '..'"]);
  assert.deepEqual(names.isPathSegmentName('..', true), []);
});

test('domain names and prefixed paths give field errors', () => {
  const path = fieldPath('spec', 'x');
  const shown = (errors: FieldError[]): string[] => errors.map((e) => `${e.field}: ${e.body}`);
  assert.deepEqual(shown(names.isFullyQualifiedName(path, 'a.b')), ['spec.x: Invalid value: "a.b": should be a domain with at least three segments separated by dots']);
  assert.deepEqual(shown(names.isFullyQualifiedDomainName(path, 'a.b.')), []);
  assert.deepEqual(shown(names.isFullyQualifiedDomainName(path, 'a')), ['spec.x: Invalid value: "a": should be a domain with at least two segments separated by dots']);
  assert.deepEqual(shown(names.isDomainPrefixedPath(path, 'acme.io/foo')), []);
  assert.deepEqual(shown(names.isDomainPrefixedPath(path, 'foo')), ['spec.x: Invalid value: "foo": must be a domain-prefixed path (such as "acme.io/foo")']);
  assert.deepEqual(shown(names.isDomainPrefixedKey(path, 'foo')), ['spec.x: Invalid value: "foo": must be a domain-prefixed key (such as "acme.io/foo")']);
  assert.deepEqual(shown(names.isDomainPrefixedKey(path, '')), ['spec.x: Required value']);
});

test('name validators take a trailing dash from a prefix', () => {
  assert.deepEqual(names.nameIsDNSSubdomain('web-', true), []);
  assert.equal(names.nameIsDNSSubdomain('web-', false).length, 1);
  assert.deepEqual(names.nameIsDNSLabel('web-', true), []);
  assert.deepEqual(names.nameIsDNS1035Label('web-', true), []);
});

test('generateName cuts the base and appends five characters of the alphabet', () => {
  assert.match(names.generateName('web-'), /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  assert.equal(names.generateName('a'.repeat(100)).length, 63);
  assert.equal(names.generateNameSuffix(() => 0), 'bbbbb');
  assert.equal(names.generateNameSuffix(() => 0.999999), '99999');
  assert.equal(names.safeEncodeString('12'), '56');
});

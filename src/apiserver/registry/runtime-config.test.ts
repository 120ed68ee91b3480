import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RESOURCES } from '#api/resources.ts';
import { parseRuntimeConfig, servedResources } from './runtime-config.ts';

/** What a flag adds to the default, as `version/plural`. */
const added = (flag: string): string[] => servedResources(parseRuntimeConfig(flag)).filter((r) => !RESOURCES.includes(r)).map((r) => `${r.version}/${r.plural}`);

test('servedResources by default are those of the stable groups', () => {
  assert.deepEqual(servedResources(), RESOURCES);
  assert.deepEqual(added(''), []);
});
describe('servedResources', () => {
  const bundles = 'v1beta1/clustertrustbundles';
  const both = [bundles, 'v1beta1/podcertificaterequests'];
  const table: readonly (readonly [flag: string, added: readonly string[]])[] = [
    ['certificates.k8s.io/v1beta1=true', both],
    ['certificates.k8s.io/v1beta1', both],
    [' certificates.k8s.io/v1beta1 = True ,', both],
    ['certificates.k8s.io/v1beta1=false', []],
    ['certificates.k8s.io/v1beta1/clustertrustbundles=true', [bundles]],
    ['certificates.k8s.io/v1beta1/podcertificaterequests=false,certificates.k8s.io/v1beta1=true', [bundles]],
    ['certificates.k8s.io/v1beta1=true,networking.k8s.io/v1beta1=true', [...both, 'v1beta1/ipaddresses', 'v1beta1/servicecidrs']],
    ['api/alpha=true,api/ga=true,apps/v1=true', []],
    ['api/beta=true,api/beta=false', []],
    ['api/beta=true,admissionregistration.k8s.io/v1beta1=false,resource.k8s.io/v1beta2=false,networking.k8s.io/v1beta1=false', [...both, 'v1beta1/volumeattributesclasses']],
  ];
  for (const [flag, expected] of table) test(`"${flag}" adds ${expected.length}`, () => assert.deepEqual(added(flag), expected));
  test('api/all is everything', () => assert.deepEqual(added('api/all=true'), added('api/beta=true')));
});
describe('servedResources refuses', () => {
  const table: readonly (readonly [flag: string, message: string])[] = [
    ['widgets.example.com/v1=true', 'unknown api groups widgets.example.com/v1'],
    ['apps/v1beta1=true', 'group version apps/v1beta1 that has not been registered'],
    ['v1=true', 'runtime-config invalid key v1'],
    ['a/b/c/d=true', 'runtime-config invalid key a/b/c/d'],
    ['api/beta=1', 'invalid value api/beta=1'],
    ['certificates.k8s.io/v1beta1=yes', 'invalid value of certificates.k8s.io/v1beta1: yes, err: strconv.ParseBool: parsing "yes": invalid syntax'],
    ['certificates.k8s.io/v1beta1/ClusterTrustBundles=true', 'invalid key certificates.k8s.io/v1beta1/ClusterTrustBundles: group/version/resource and resource is always lowercase plural, not "ClusterTrustBundles"'],
    ['apps/v1=false', "runtime-config apps/v1: apps/v1 cannot be switched off: the cluster's own components need it"],
  ];
  for (const [flag, message] of table) test(flag, () => assert.throws(() => servedResources(parseRuntimeConfig(flag)), { message }));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from '#machinery/status-error.ts';
import { Query } from './query.ts';
import { parsePath } from './request-info.ts';

/** verb group/version resource/subresource namespace/name */
function summary(method: string, target: string): string {
  const [path = '', query = ''] = target.split('?');
  const { info, rest } = parsePath(method, path, Query.parse(query));
  if (!info.isResourceRequest) return `${info.verb} ${info.path}`;
  return `${info.verb} ${info.apiGroup}/${info.apiVersion} ${info.resource}${info.subresource ? `/${info.subresource}` : ''} ${info.namespace}/${info.name}${rest ? ` rest=${rest}` : ''}`;
}
const CASES: readonly (readonly [string, string, string])[] = [
  ['GET', '/api/v1/pods', 'list /v1 pods /'],
  ['GET', '/api/v1/pods?watch=true', 'watch /v1 pods /'],
  ['GET', '/api/v1/pods?watch', 'watch /v1 pods /'],
  ['GET', '/api/v1/pods?watch=false', 'list /v1 pods /'],
  ['GET', '/api/v1/namespaces/default/pods/web', 'get /v1 pods default/web'],
  ['GET', '/api/v1/namespaces/default/pods/web?watch=true', 'get /v1 pods default/web'],
  ['HEAD', '/api/v1/namespaces/default/pods/web', 'get /v1 pods default/web'],
  ['POST', '/apis/apps/v1/namespaces/default/deployments', 'create apps/v1 deployments default/'],
  ['PUT', '/apis/apps/v1/namespaces/default/deployments/d/scale', 'update apps/v1 deployments/scale default/d'],
  ['PATCH', '/api/v1/nodes/n/status', 'patch /v1 nodes/status /n'],
  ['DELETE', '/api/v1/namespaces/default/pods', 'deletecollection /v1 pods default/'],
  ['DELETE', '/api/v1/namespaces/default/pods/web', 'delete /v1 pods default/web'],
  ['GET', '/api/v1/namespaces', 'list /v1 namespaces /'],
  ['GET', '/api/v1/namespaces/dev', 'get /v1 namespaces dev/dev'],
  ['PUT', '/api/v1/namespaces/dev/finalize', 'update /v1 namespaces/finalize dev/dev'],
  ['GET', '/api/v1/namespaces/dev/status', 'get /v1 namespaces/status dev/dev'],
  ['GET', '/api/v1/watch/namespaces/dev/pods', 'watch /v1 pods dev/'],
  ['GET', '/api/v1/watch/namespaces/dev/pods/web', 'watch /v1 pods dev/web'],
  ['GET', '/api/v1/namespaces/dev/pods/http:web:80/proxy/a/b/', 'get /v1 pods/proxy dev/http:web:80 rest=/a/b/'],
  ['GET', '/api/v1/pods?fieldSelector=metadata.name%3Dweb', 'list /v1 pods /web'],
  ['GET', '/api/v1/pods?fieldSelector=metadata.name!%3Dweb', 'list /v1 pods /'],
  ['GET', '/api', 'get /api'],
  ['GET', '/apis/apps/v1', 'get /apis/apps/v1'],
  ['GET', '/healthz', 'get /healthz'],
  ['POST', '/healthz', 'post /healthz'],
];
for (const [method, target, expected] of CASES) {
  test(`parsePath reads ${method} ${target}`, () => assert.equal(summary(method, target), expected));
}
test('parsePath refuses escapes that are none and marks paths that go on behind a subresource', () => {
  assert.throws(() => parsePath('GET', '/api/v1/%zz', Query.empty), StatusError);
  assert.equal(parsePath('GET', '/api/v1/namespaces/a/pods/b/log/c', Query.empty).tooLong, true);
  assert.equal(parsePath('GET', '/api/v1/namespaces/a/pods/b/log', Query.empty).tooLong, false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagPage } from './flagz.ts';
import { statusPage } from './statusz.ts';
import { answerZPage, type ZPage } from './zpage.ts';

const START = Date.UTC(2026, 0, 2, 3, 4, 5);
const STATUS = statusPage({ startedAt: START, now: START + 3_725_900, goVersion: 'go1.26', binaryVersion: '1.36', emulationVersion: '1.36', paths: ['/healthz', '/statusz'] });
const answer = (accept: string | undefined, page: ZPage = STATUS) => {
  const { headers, body } = answerZPage(accept, page);
  return { type: headers['content-type'], text: (body as Buffer).toString() };
};

test('answerZPage gives text to whoever takes it', () => {
  for (const accept of [undefined, '', '*/*', 'text/plain', 'application/json, text/plain']) {
    const { type, text } = answer(accept);
    assert.equal(type, 'text/plain; charset=utf-8');
    assert.match(text, /^\napiserver statusz\n/);
    assert.match(text, /^Started: 2026-01-02T03:04:05Z\nUp: 1 hr 02 min 05 sec\n/m);
    assert.match(text, /^Paths: \/healthz \/statusz$/m);
  }
});

test('answerZPage gives an object to who names its kind, and nothing else to others', () => {
  const kind = 'v=v1beta1;g=config.k8s.io;as=Statusz';
  const json = answer(`application/json;${kind}`);
  assert.equal(json.type, 'application/json;g=config.k8s.io;v=v1beta1;as=Statusz');
  assert.deepEqual(JSON.parse(json.text), {
    kind: 'Statusz', apiVersion: 'config.k8s.io/v1beta1', metadata: { name: 'apiserver' }, startTime: '2026-01-02T03:04:05Z', uptimeSeconds: 3725, goVersion: 'go1.26', binaryVersion: '1.36', emulationVersion: '1.36', paths: ['/healthz', '/statusz'],
  });
  assert.match(answer(`application/yaml;${kind}`).text, /^kind: Statusz$/m);
  assert.match(answer(`application/json;${kind.replace('beta', 'alpha')}`).text, /"apiVersion":"config.k8s.io\/v1alpha1"/);
  for (const accept of ['application/json', 'text/html', 'application/json;v=v1beta1;g=config.k8s.io;as=Flagz']) {
    assert.throws(() => answer(accept), { message: 'only the following media types are accepted: application/json, application/yaml, text/plain' });
  }
});

test('flagPage tells every flag in order of names', () => {
  const page = flagPage({ 'node-name': 'a', 'api-port': '6443', 'node-ip': '' });
  assert.match(answer('*/*', page).text, /^\napiserver flagz\n[^\n]+\n\napi-port: 6443\nnode-ip: \nnode-name: a\n$/);
  assert.deepEqual(JSON.parse(answer('application/json;v=v1beta1;g=config.k8s.io;as=Flagz', page).text), {
    kind: 'Flagz', apiVersion: 'config.k8s.io/v1beta1', metadata: { name: 'apiserver' }, flags: { 'api-port': '6443', 'node-ip': '', 'node-name': 'a' },
  });
});

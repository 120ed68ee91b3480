import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { Channel } from './channel.ts';
import { pullProgress } from './pull-progress.ts';
import { startGrpcServer } from './testing/grpc-server.ts';

/** A length-delimited field. */
const bytes = (n: number, data: Buffer | string): Buffer => {
  const body = Buffer.from(data);
  const size = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
  return Buffer.concat([Buffer.from([(n << 3) | 2, ...size]), body]);
};
const number = (n: number, value: number): Buffer => Buffer.from([n << 3, value]);
const info = (digest: string, size: number, labels: Record<string, string>): Buffer => bytes(1, Buffer.concat([bytes(1, digest), number(2, size), ...Object.entries(labels).map(([k, v]) => bytes(5, Buffer.concat([bytes(1, k), bytes(2, v)])))]));
const SOURCE = { 'containerd.io/distribution.source.docker.io': 'library/other,library/nginx' };
const MANIFEST = JSON.stringify({ layers: [{ digest: 'sha256:a', size: 50 }, { digest: 'sha256:b', size: 100 }, { digest: 'sha256:c', size: 100 }] });

function contentServer(fetching: readonly [ref: string, offset: number][]) {
  return startGrpcServer({
    '/containerd.services.content.v1.Content/ListStatuses': { handle: () => Promise.resolve(Buffer.concat(fetching.map(([ref, offset]) => bytes(1, Buffer.concat([bytes(3, ref), number(4, offset)]))))) },
    '/containerd.services.content.v1.Content/List': { stream: true, handle: (call) => {
      call.write(info('sha256:m', 99, { ...SOURCE, 'containerd.io/gc.ref.content.config': 'sha256:x' }));
      call.write(info('sha256:a', 50, SOURCE));
      return Promise.resolve();
    } },
    '/containerd.services.content.v1.Content/Read': { stream: true, handle: (call) => Promise.resolve(call.write(bytes(2, MANIFEST))) },
  });
}
const CASES: readonly [string, [string, number][], string, { doneBytes: number; totalBytes: number } | undefined][] = [
  ['layers that are here and one that comes', [['layer-sha256:b', 30]], 'library/nginx', { doneBytes: 80, totalBytes: 250 }],
  ['layers of another image', [['layer-sha256:z', 30]], 'library/nginx', undefined],
  ['another repository', [['layer-sha256:b', 30]], 'library/redis', undefined],
  ['nothing under way', [], 'library/nginx', undefined],
];
for (const [name, fetching, repository, want] of CASES) {
  test(`pullProgress: ${name}`, async () => {
    await using server = await contentServer(fetching);
    const channel = new Channel({ endpoint: server.endpoint, clock: systemClock });
    assert.deepEqual(await pullProgress(channel, 'docker.io', repository), want);
    channel.close();
  });
}

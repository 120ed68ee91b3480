import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Channel } from './channel.ts';
import type { ContainerRuntime } from './client.ts';
import { CriError } from './error.ts';
import { criMessage } from './schema.ts';
import { newImageMounts } from './image-mounts.ts';

const never = new AbortController().signal;
const OVERLAY = { type: 'overlay', source: 'overlay', options: ['lowerdir=/b:/a'] };

/** A snapshot service that says what it is asked. */
function service(chainID = 'sha256:chain') {
  const calls: string[] = [];
  const keys = new Set<string>();
  const runtime = {
    status: () => Promise.resolve(criMessage('StatusResponse', { info: { config: JSON.stringify({ containerd: { snapshotter: 'native' } }) } })),
    imageStatus: () => Promise.resolve(criMessage('ImageStatusResponse', { info: { info: JSON.stringify({ chainID }) } })),
  } as unknown as Pick<ContainerRuntime, 'imageStatus' | 'status'>;
  const unary = ({ path }: { path: string }, { key, parent }: { key: string; parent?: string }, _options: object, headers: Record<string, string>) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    calls.push([headers['containerd-namespace'], name, key, ...(parent ? [parent] : [])].join(' '));
    if (name === 'View' && keys.has(key)) return Promise.reject(new CriError('AlreadyExists', 'snapshot exists'));
    if (name === 'Remove' && !keys.delete(key)) return Promise.reject(new CriError('NotFound', 'no snapshot'));
    keys.add(key);
    return Promise.resolve({ mounts: [OVERLAY] });
  };
  return { calls, images: newImageMounts(runtime, { unary } as unknown as Pick<Channel, 'unary'>) };
}

test('an image is seen through a view of its snapshot, which is made once and removed once', async () => {
  const { calls, images } = service();
  assert.deepEqual(await images.view('sha256:i', 'k', never), OVERLAY);
  assert.deepEqual(await images.view('sha256:i', 'k', never), OVERLAY);
  await images.release('k');
  await images.release('never made');
  assert.deepEqual(calls, ['k8s.io View k sha256:chain', 'k8s.io View k sha256:chain', 'k8s.io Mounts k', 'k8s.io Remove k', 'k8s.io Remove never made']);
});
test('an image that the runtime tells nothing about is refused', async () => {
  await assert.rejects(service('').images.view('sha256:i', 'k', never), { message: 'the runtime does not tell where the files of image "sha256:i" are' });
});

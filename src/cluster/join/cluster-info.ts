/** The ConfigMap `kube-public/cluster-info`, read without credentials. */
import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { ConfigMap } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';

const PATH = '/api/v1/namespaces/kube-public/configmaps/cluster-info';
const LIMIT_MS = 10_000;
/** What a ConfigMap holds at most, with room for its metadata: the server may be anybody. */
const MAX_BYTES = 2 << 20;
const SIGNATURE = 'jws-kubeconfig-';

export interface ClusterInfo {
  readonly kubeconfig: string;
  /** Detached JWS by the id of the token that signs. */
  readonly signatures: ReadonlyMap<string, string>;
}
interface FetchOptions {
  /** PEM of the authority that the server's certificate must come from. Absent: whoever answers is asked. */
  readonly ca?: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    if ((bytes += part.length) > MAX_BYTES) throw new Error(`the answer is larger than ${MAX_BYTES} bytes`);
  }
  return Buffer.concat(parts).toString();
}
async function get(host: string, port: string, ca: string | undefined, signal: AbortSignal): Promise<{ readonly code: number; readonly text: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ host, port, path: PATH, agent: false, headers: { accept: 'application/json', 'user-agent': 'podyard' }, signal, ...(ca === undefined ? { rejectUnauthorized: false } : { ca }) }, resolve).on('error', reject).end();
  });
  try {
    return { code: response.statusCode ?? 0, text: await textOf(response) };
  } finally {
    response.destroy();
  }
}
function parse(text: string): ClusterInfo | undefined {
  const { kubeconfig, ...rest } = (JSON.parse(text) as Partial<ConfigMap>).data ?? {};
  if (typeof kubeconfig !== 'string') return undefined;
  return { kubeconfig, signatures: new Map(Object.entries(rest).filter(([key]) => key.startsWith(SIGNATURE)).map(([key, value]) => [key.slice(SIGNATURE.length), value])) };
}

/**
 * What `server` (`10.0.0.5:6443`) tells of its cluster; undefined where it has nothing to tell yet. Rejects within ten seconds when it cannot be reached,
 * does not prove to be of `ca`, or answers with something else; with the signal's reason when that aborts.
 */
export async function fetchClusterInfo(server: string, { ca, signal, clock }: FetchOptions): Promise<ClusterInfo | undefined> {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^\s:/@]+):(\d{1,5})$/i.exec(server) ?? [];
  if (host === undefined || port === undefined) throw new Error(`the server "${server}" must be an address and a port, such as 10.0.0.5:6443`);
  const late = new AbortController();
  const timer = clock.after(LIMIT_MS, () => late.abort(new Error(`no answer within ${LIMIT_MS / 1000} s`)));
  try {
    const { code, text } = await get(host.replace(/^\[|\]$/g, ''), port, ca, AbortSignal.any([signal, late.signal]));
    if (code === 404) return undefined;
    if (code !== 200) throw new Error(`it answered with status ${code}: is it the API server, and may "system:anonymous" read kube-public/cluster-info?`);
    return parse(text);
  } catch (err) {
    if (signal.aborted) throw signal.reason;
    const why = late.signal.aborted ? (late.signal.reason as Error) : (err as Error);
    throw new Error(`https://${server} ${ca === undefined ? 'does not tell of its cluster' : 'does not prove to be of the cluster'}: ${why.message}`, { cause: err });
  } finally {
    timer.cancel();
  }
}

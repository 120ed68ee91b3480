/** The endpoints that answer with a document: health, Pods, statistics, metrics, logs, `/run`, `/checkpoint`, `/storage`. */
import type { Pod, PodList } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { isLogOptionsError, parseLogOptions } from '../logs/log-options.ts';
import type { KubeletHost } from './interfaces.ts';
import { serveNodeLogs } from './node-logs.ts';
import { jsonAnswer, messageOf, textAnswer, type KubeletAnswer, type KubeletRequest } from './request.ts';
import type { ContainerRef, Route, StreamingRoute } from './routes.ts';
import { serveStorage } from './storage.ts';

export interface EndpointOptions {
  readonly host: KubeletHost;
  readonly clock: Clock;
}
type DocumentRoute = Exclude<Route, StreamingRoute>;
/** The others are read. */
const METHODS: Readonly<Partial<Record<DocumentRoute['kind'], readonly string[]>>> = { run: ['POST'], checkpoint: ['POST'], storage: ['POST', 'DELETE'] };

export async function serveDocument(route: DocumentRoute, request: KubeletRequest, options: EndpointOptions): Promise<KubeletAnswer> {
  const { url: { searchParams: query }, signal } = request;
  const { host } = options;
  const methods = METHODS[route.kind] ?? ['GET'];
  if (!methods.includes(request.method)) return textAnswer(405, 'Method Not Allowed', { Allow: methods.join(', ') });
  switch (route.kind) {
    case 'healthz':
      return serveHealth(route.check, query, host);
    case 'pods':
      return jsonAnswer(podList(host.pods()));
    case 'runningpods':
      return jsonAnswer(podList(await host.runningPods(signal)));
    case 'summary':
      return jsonAnswer(await host.statsSummary(query.get('only_cpu_and_memory') === 'true', signal));
    case 'configz':
      return jsonAnswer({ kubeletconfig: host.configuration() });
    case 'metrics':
      return textAnswer(200, await host.metrics(route.metrics, signal), { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
    case 'nodeLogs': {
      const dir = host.nodeLogsDir();
      return dir === undefined ? textAnswer(405, 'logs endpoint is disabled.\n') : await serveNodeLogs(dir, route.path);
    }
    case 'logs':
      return await serveLogs(route, request, options);
    case 'run':
      return await serveRun(route, request, host);
    case 'checkpoint':
      return await serveCheckpoint(route, request, host);
    case 'storage':
      return await serveStorage(request.method, query, host.storage);
  }
}

function podList(items: readonly Pod[]): PodList {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

function serveHealth(check: string, query: URLSearchParams, host: KubeletHost): KubeletAnswer {
  const checks: Readonly<Record<string, () => string | undefined>> = { ping: () => undefined, log: () => undefined, syncloop: () => host.syncLoopProblem() };
  if (check !== '') {
    if (!Object.hasOwn(checks, check)) return textAnswer(404, '404 page not found\n');
    const problem = checks[check]!();
    return problem === undefined ? textAnswer(200, 'ok') : textAnswer(500, `internal server error: ${problem}\n`);
  }
  const excluded = new Set(query.getAll('exclude'));
  const results = Object.entries(checks).filter(([name]) => !excluded.has(name)).map(([name, run]) => ({ name, healthy: run() === undefined }));
  const lines = results.map((r) => (r.healthy ? `[+]${r.name} ok\n` : `[-]${r.name} failed: reason withheld\n`)).join('');
  if (results.some((r) => !r.healthy)) return textAnswer(500, `${lines}healthz check failed\n`);
  return query.has('verbose') ? textAnswer(200, `${lines}healthz check passed\n`) : textAnswer(200, 'ok');
}

function hasContainer(pod: Pod, name: string): boolean {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  return [...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === name);
}

async function serveLogs(ref: ContainerRef, { url, signal }: KubeletRequest, { host, clock }: EndpointOptions): Promise<KubeletAnswer> {
  const options = parseLogOptions(url.searchParams, clock.now());
  if (isLogOptionsError(options)) return textAnswer(options.code, JSON.stringify({ message: options.message }).replace('":"', '": "'));
  const pod = host.podByName(ref.namespace, ref.pod);
  if (!pod) return textAnswer(404, `pod ${JSON.stringify(ref.pod)} does not exist`);
  if (!hasContainer(pod, ref.container)) return textAnswer(404, `container ${JSON.stringify(ref.container)} not found in pod ${JSON.stringify(ref.pod)}`);
  const pieces = host.logs(pod, ref.container, options, signal)[Symbol.asyncIterator]();
  try {
    // What is refused is refused before the first piece.
    const body = startingWith(await pieces.next(), pieces);
    return { status: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body };
  } catch (err) {
    if (signal.aborted) throw err;
    return textAnswer(400, messageOf(err));
  }
}
function startingWith(first: IteratorResult<Buffer>, rest: AsyncIterator<Buffer>): AsyncIterable<Buffer> {
  let held: IteratorResult<Buffer> | undefined = first;
  const next = (): Promise<IteratorResult<Buffer>> => {
    const result = held ? Promise.resolve(held) : rest.next();
    held = undefined;
    return result;
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: async (value) => (await rest.return?.(value)) ?? { done: true, value: undefined } }) };
}

async function serveRun(ref: ContainerRef, { url, signal }: KubeletRequest, host: KubeletHost): Promise<KubeletAnswer> {
  const pod = host.podByName(ref.namespace, ref.pod);
  if (!pod || (ref.uid !== undefined && pod.metadata.uid !== ref.uid)) return textAnswer(404, 'pod does not exist');
  // `/run` has one parameter for the whole command, cut at each space.
  let output: Buffer | undefined;
  try {
    output = await host.run(pod, ref.container, (url.searchParams.get('cmd') ?? '').split(' '), signal);
  } catch (err) {
    if (signal.aborted) throw err;
    return textAnswer(500, messageOf(err));
  }
  if (output === undefined) return textAnswer(500, `container not found (${JSON.stringify(ref.container)})`);
  return { status: 200, headers: { 'Content-Type': 'application/json' }, body: output };
}

/** KEP-2008. Without a `timeout` in seconds the runtime's own holds; of several the last counts. */
async function serveCheckpoint(ref: ContainerRef, { url, signal }: KubeletRequest, host: KubeletHost): Promise<KubeletAnswer> {
  const pod = host.podByName(ref.namespace, ref.pod);
  if (!pod) return textAnswer(404, 'pod does not exist');
  if (!hasContainer(pod, ref.container)) return textAnswer(404, `container ${ref.container} does not exist`);
  const timeout = url.searchParams.getAll('timeout').at(-1);
  if (timeout !== undefined && !/^[+-]?\d+$/.test(timeout)) return textAnswer(404, 'cannot parse value of timeout parameter');
  try {
    return jsonAnswer({ items: [await host.checkpoint(pod, ref.container, Number(timeout ?? 0), signal)] });
  } catch (err) {
    if (signal.aborted) throw err;
    return textAnswer(500, `checkpointing of ${ref.namespace}/${ref.pod}/${ref.container} failed (${messageOf(err)})`);
  }
}

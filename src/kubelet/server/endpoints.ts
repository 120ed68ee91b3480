/** The endpoints that answer with a document: health, Pods, statistics, metrics, logs, `/run`. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Pod, PodList } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { isLogOptionsError, parseLogOptions } from '../logs/log-options.ts';
import type { KubeletHost } from './interfaces.ts';
import type { ContainerRef, Route, StreamingRoute } from './routes.ts';

export interface EndpointRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly query: URLSearchParams;
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;
}
export interface EndpointOptions {
  readonly host: KubeletHost;
  readonly clock: Clock;
}
type DocumentRoute = Exclude<Route, StreamingRoute>;

export function sendText(res: ServerResponse, status: number, text: string, headers: Readonly<Record<string, string>> = {}): void {
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff', 'Content-Length': Buffer.byteLength(text), ...headers });
  res.end(text);
}
function sendJson(res: ServerResponse, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
}
export function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}

export async function serveDocument(route: DocumentRoute, request: EndpointRequest, options: EndpointOptions): Promise<void> {
  const { req, res, query, signal } = request;
  const method = route.kind === 'run' ? 'POST' : 'GET';
  if (req.method !== method) return sendText(res, 405, 'Method Not Allowed', { Allow: method });
  switch (route.kind) {
    case 'healthz':
      return serveHealth(route.check, request, options.host);
    case 'pods':
      return sendJson(res, podList(options.host.pods()));
    case 'runningpods':
      return sendJson(res, podList(await options.host.runningPods(signal)));
    case 'summary':
      return sendJson(res, await options.host.statsSummary(query.get('only_cpu_and_memory') === 'true', signal));
    case 'configz':
      return sendJson(res, { kubeletconfig: options.host.configuration() });
    case 'metrics':
      return sendText(res, 200, await options.host.metrics(route.metrics, signal), { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
    case 'nodeLogs':
      // As upstream's kubelet without enableSystemLogHandler.
      return sendText(res, 405, 'logs endpoint is disabled.\n');
    case 'logs':
      return serveLogs(route, request, options);
    case 'run':
      return serveRun(route, request, options.host);
  }
}

function podList(items: readonly Pod[]): PodList {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

function serveHealth(check: string, { res, query }: EndpointRequest, host: KubeletHost): void {
  const checks: Readonly<Record<string, () => string | undefined>> = { ping: () => undefined, log: () => undefined, syncloop: () => host.syncLoopProblem() };
  if (check !== '') {
    if (!Object.hasOwn(checks, check)) return sendText(res, 404, '404 page not found\n');
    const problem = checks[check]!();
    return problem === undefined ? sendText(res, 200, 'ok') : sendText(res, 500, `internal server error: ${problem}\n`);
  }
  const excluded = new Set(query.getAll('exclude'));
  const results = Object.entries(checks).filter(([name]) => !excluded.has(name)).map(([name, run]) => ({ name, healthy: run() === undefined }));
  const lines = results.map((r) => (r.healthy ? `[+]${r.name} ok\n` : `[-]${r.name} failed: reason withheld\n`)).join('');
  if (results.some((r) => !r.healthy)) return sendText(res, 500, `${lines}healthz check failed\n`);
  return query.has('verbose') ? sendText(res, 200, `${lines}healthz check passed\n`) : sendText(res, 200, 'ok');
}

function hasContainer(pod: Pod, name: string): boolean {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  return [...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === name);
}

async function serveLogs(ref: ContainerRef, { res, query, signal }: EndpointRequest, { host, clock }: EndpointOptions): Promise<void> {
  const options = parseLogOptions(query, clock.now());
  if (isLogOptionsError(options)) return sendText(res, options.code, JSON.stringify({ message: options.message }).replace('":"', '": "'));
  const pod = host.podByName(ref.namespace, ref.pod);
  if (!pod) return sendText(res, 404, `pod ${JSON.stringify(ref.pod)} does not exist`);
  if (!hasContainer(pod, ref.container)) return sendText(res, 404, `container ${JSON.stringify(ref.container)} not found in pod ${JSON.stringify(ref.pod)}`);
  try {
    for await (const piece of host.logs(pod, ref.container, options, signal)) {
      if (!res.headersSent) res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
      if (!res.write(piece)) await once(res, 'drain', { signal });
    }
  } catch (err) {
    if (signal.aborted) return;
    // With part of the log sent, only a broken connection can tell that something is missing.
    if (res.headersSent) return void res.destroy();
    return sendText(res, 400, messageOf(err));
  }
  if (!res.headersSent) res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  res.end();
}

async function serveRun(ref: ContainerRef, { res, query, signal }: EndpointRequest, host: KubeletHost): Promise<void> {
  const pod = host.podByName(ref.namespace, ref.pod);
  if (!pod || (ref.uid !== undefined && pod.metadata.uid !== ref.uid)) return sendText(res, 404, 'pod does not exist');
  // `/run` has one parameter for the whole command, cut at each space.
  let output: Buffer | undefined;
  try {
    output = await host.run(pod, ref.container, (query.get('cmd') ?? '').split(' '), signal);
  } catch (err) {
    if (!signal.aborted) sendText(res, 500, messageOf(err));
    return;
  }
  if (output === undefined) return sendText(res, 500, `container not found (${JSON.stringify(ref.container)})`);
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': output.length }).end(output);
}

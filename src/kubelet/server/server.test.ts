import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { describe, test, type TestContext } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { acceptPortForward, forwardTo, PORT_FORWARD_PROTOCOL, PORT_FORWARD_TUNNEL_PROTOCOL } from '#machinery/httpstream/portforward.ts';
import { dialRemoteCommand, type DialRemoteCommandOptions } from '#machinery/httpstream/remotecommand-client.ts';
import { acceptRemoteCommand, exitCodeOf, exitStatus, type RemoteCommandStreams } from '#machinery/httpstream/remotecommand.ts';
import { dialSpdy, SpdyConnection } from '#machinery/httpstream/spdy.ts';
import { testAuthority, type TestCertificate } from '#machinery/httpstream/testing/certificates.ts';
import { UpgradeRefusedError } from '#machinery/httpstream/upgrade.ts';
import { WebSocketChannels } from '#machinery/httpstream/websocket-channels.ts';
import { WebSocketTunnel } from '#machinery/httpstream/websocket-tunnel.ts';
import { dialWebSocket } from '#machinery/httpstream/websocket.ts';
import { ForeignPathError } from '../volumes/storage-directories.ts';
import type { KubeletAuth, KubeletHost, NodeAttributes } from './interfaces.ts';
import { KubeletServer } from './server.ts';

const authority = testAuthority('cluster-ca');
const stranger = testAuthority('other-ca');
const serving = authority.issue('server', 'node-1');
const apiserver = authority.issue('client', 'kube-apiserver-kubelet-client', ['system:masters', 'more']);
const nobody = authority.issue('client', 'nobody');
const forged = stranger.issue('client', 'kube-apiserver-kubelet-client', ['system:masters']);

const POD: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u1' },
  spec: { containers: [{ name: 'c', image: 'x' }, { name: 't', image: 'x', tty: true }] },
};

/** A container runtime's streaming server: what is asked for is in the path. */
async function runtimeServer(t: TestContext, onUpgrade: Parameters<Server['on']>[1]): Promise<URL> {
  const server = createServer();
  server.on('upgrade', onUpgrade);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/token`);
}

/** Echoes stdin, tells the number of bytes on stderr, ends with 3; with a terminal it shows sizes. */
function echoRuntime(t: TestContext, streams: RemoteCommandStreams): Promise<URL> {
  return runtimeServer(t, async (req, socket, head) => {
    const session = await acceptRemoteCommand(req, socket, head, streams);
    if (!session) return;
    if (streams.tty) {
      await new Promise<void>((resolve) => session.onResize((size) => void session.stdout!.write(`${size.width}x${size.height}`, () => resolve())));
      session.stdin?.resume();
      return void session.finish(exitStatus(0));
    }
    const hash = createHash('sha256');
    if (session.stdin) await pipeline(session.stdin, async function* (source: AsyncIterable<Buffer>) {
      for await (const part of source) {
        hash.update(part);
        yield part;
      }
    }, session.stdout!);
    session.stderr?.write('to stderr');
    await session.finish(exitStatus(3));
  });
}

interface Setup {
  readonly url: URL;
  readonly asked: NodeAttributes[];
  readonly calls: unknown[];
}
async function setUp(t: TestContext, host: Partial<KubeletHost> = {}): Promise<Setup> {
  const asked: NodeAttributes[] = [];
  const calls: unknown[] = [];
  const auth: KubeletAuth = {
    async authenticateToken(token) {
      if (token === 'broken') throw new Error('no API server');
      return token === 'good' ? { name: 'prometheus', groups: ['system:authenticated'] } : undefined;
    },
    async authorize(attributes) {
      asked.push(attributes);
      if (attributes.path === '/metrics/probes') throw new Error('no API server');
      return attributes.user.groups.includes('system:masters') || (attributes.user.name === 'prometheus' && ['metrics', 'pods'].includes(attributes.subresource));
    },
  };
  const absent = (): never => assert.fail('not expected');
  const server = new KubeletServer({
    address: '127.0.0.1', port: 0, certificate: serving, clientCa: authority.cert, auth,
    host: {
      pods: () => [POD], podByName: (namespace, name) => (namespace === 'ns' && name === 'p' ? POD : undefined), runningPods: async () => [], syncLoopProblem: () => undefined, storage: { create: absent, remove: absent },
      execUrl: absent, attachUrl: absent, missedOutput: absent, portForwardUrl: absent, run: absent, checkpoint: absent, logs: absent, statsSummary: async (only) => ({ only }), configuration: () => ({ maxPods: 110 }), nodeLogsDir: () => undefined, metrics: async (kind) => `# ${kind}\n`, ...host,
    },
  });
  await server.start(new AbortController().signal);
  t.after(() => server.stop());
  return { url: new URL(`https://127.0.0.1:${server.port}/`), asked, calls };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}
function get(base: URL, path: string, options: { certificate?: TestCertificate; token?: string; method?: string } = { certificate: apiserver }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request(new URL(path, base), {
      agent: false, ca: authority.cert, ...options.certificate, method: options.method ?? 'GET', headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
    }, (res) => void text(res).then((body) => resolve({ status: res.statusCode ?? 0, body, headers: res.headers }), reject));
    req.once('error', reject);
    req.end();
  });
}
const brief = async (answer: Promise<Answer>): Promise<string> => {
  const { status, body } = await answer;
  return `${status} ${body}`;
};

describe('KubeletServer authenticates and authorises', () => {
  test('by client certificate of the cluster\'s authority, with all its organisations', async (t) => {
    const { url, asked } = await setUp(t);
    assert.equal((await get(url, '/pods')).status, 200);
    assert.deepEqual(asked[0], { user: { name: 'kube-apiserver-kubelet-client', groups: ['system:masters', 'more', 'system:authenticated'] }, verb: 'get', subresource: 'pods', path: '/pods' });
  });

  test('by bearer token', async (t) => {
    const { url } = await setUp(t);
    assert.equal(await brief(get(url, '/metrics/resource', { token: 'good' })), '200 # resource\n');
    assert.equal(await brief(get(url, '/metrics/resource', { token: 'bad' })), '401 Unauthorized');
    assert.equal(await brief(get(url, '/metrics/resource', { token: 'broken' })), '401 Unauthorized');
  });

  test('and refuses everybody else, in upstream\'s words', async (t) => {
    const { url } = await setUp(t);
    assert.equal(await brief(get(url, '/pods', {})), '401 Unauthorized');
    assert.equal(await brief(get(url, '/pods', { certificate: forged })), '401 Unauthorized');
    assert.equal(await brief(get(url, '/pods', { certificate: nobody })), '403 Forbidden (user=nobody, verb=get, resource=nodes, subresource(s)=[pods proxy])\n');
    assert.equal(await brief(get(url, '/containerLogs/ns/p/c', { token: 'good' })), '403 Forbidden (user=prometheus, verb=get, resource=nodes, subresource(s)=[proxy])\n');
    assert.equal(await brief(get(url, '/metrics/probes')), '500 Authorization error (user=kube-apiserver-kubelet-client, verb=get, resource=nodes, subresource=metrics)');
  });

  test('streaming requests, too, before anything is run', async (t) => {
    const { url } = await setUp(t);
    const dial = (options: Partial<DialRemoteCommandOptions>): Promise<unknown> =>
      dialRemoteCommand(new URL('/exec/ns/p/c?output=1&command=id', url), { transport: 'spdy', stdin: false, stdout: true, stderr: false, tty: false, ...options });
    const refused = (status: number, body: string) => (err: unknown): boolean => err instanceof UpgradeRefusedError && err.statusCode === status && err.body === body;
    for (const transport of ['spdy', 'websocket'] as const) {
      await assert.rejects(dial({ transport, tls: { ca: authority.cert } }), refused(401, 'Unauthorized'));
      await assert.rejects(dial({ transport, tls: { ca: authority.cert, ...forged } }), refused(401, 'Unauthorized'));
      await assert.rejects(dial({ transport, tls: { ca: authority.cert }, headers: { Authorization: 'Bearer good' } }), (err) => err instanceof UpgradeRefusedError && err.statusCode === 403);
    }
  });
});

test('KubeletServer serves health, Pods, statistics and metrics', async (t) => {
  let problem: string | undefined;
  const { url } = await setUp(t, { syncLoopProblem: () => problem });
  assert.equal(await brief(get(url, '/healthz')), '200 ok');
  assert.equal(await brief(get(url, '/healthz?verbose')), '200 [+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n');
  assert.equal(await brief(get(url, '/healthz/syncloop')), '200 ok');
  problem = 'sync Loop took longer than expected';
  assert.equal(await brief(get(url, '/healthz')), '500 [+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n');
  assert.equal(await brief(get(url, '/healthz/syncloop')), '500 internal server error: sync Loop took longer than expected\n');
  const pods = await get(url, '/pods');
  assert.equal(pods.headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(pods.body), { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [POD] });
  assert.deepEqual(JSON.parse((await get(url, '/runningpods/')).body).items, []);
  assert.equal(await brief(get(url, '/stats/summary?only_cpu_and_memory=true')), '200 {"only":true}');
  assert.equal(await brief(get(url, '/metrics')), '200 # kubelet\n');
  assert.equal((await get(url, '/metrics/cadvisor')).headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(await brief(get(url, '/nothing')), '404 404 page not found\n');
  assert.equal(await brief(get(url, '/configz')), '200 {"kubeletconfig":{"maxPods":110}}');
  assert.equal(await brief(get(url, '/logs/')), '405 logs endpoint is disabled.\n');
  const { url: withLogs } = await setUp(t, { nodeLogsDir: () => import.meta.dirname });
  assert.match(await brief(get(withLogs, '/logs/')), /^200 [^]*<a href="node-logs.ts">/);
  assert.match(await brief(get(withLogs, '/logs/node-logs.ts')), /serveNodeLogs/);
  const wrong = await get(url, '/pods', { certificate: apiserver, method: 'POST' });
  assert.deepEqual([wrong.status, wrong.headers['allow']], [405, 'GET']);
});

test('KubeletServer serves logs, with every option, and errors in upstream\'s words', async (t) => {
  const seen: unknown[] = [];
  const { url } = await setUp(t, {
    async *logs(pod, container, options) {
      seen.push([pod.metadata.uid, container, options]);
      if (options.previous) throw new Error('previous terminated container "c" in pod "p" not found');
      yield Buffer.from('one\n');
      yield Buffer.from('two\n');
    },
  });
  assert.equal(await brief(get(url, '/containerLogs/ns/p/c?follow=true&tailLines=2&timestamps=true&limitBytes=100&sinceTime=2026-11-21T08:00:00Z')), '200 one\ntwo\n');
  assert.deepEqual(seen[0], ['u1', 'c', { follow: true, previous: false, timestamps: true, tailLines: 2, limitBytes: 100, sinceMs: Date.parse('2026-11-21T08:00:00Z'), stream: 'All' }]);
  assert.equal(await brief(get(url, '/containerLogs/ns/p/c?previous=true')), '400 previous terminated container "c" in pod "p" not found');
  assert.equal(await brief(get(url, '/containerLogs/ns/q/c')), '404 pod "q" does not exist');
  assert.equal(await brief(get(url, '/containerLogs/ns/p/x')), '404 container "x" not found in pod "p"');
  assert.equal(await brief(get(url, '/containerLogs/ns/p/c?tailLines=x')), '400 {"message": "Unable to decode query."}');
  assert.equal(await brief(get(url, '/containerLogs/ns/p/c?tailLines=-1')), '422 {"message": "Invalid request."}');
});

test('KubeletServer stops reading a log when the client goes away', async (t) => {
  const stopped = Promise.withResolvers<void>();
  const { url } = await setUp(t, {
    async *logs(_pod, _container, _options, signal) {
      yield Buffer.from('first\n');
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      stopped.resolve();
    },
  });
  const req = request(new URL('/containerLogs/ns/p/c?follow=true', url), { agent: false, ca: authority.cert, ...apiserver }, (res) => {
    res.on('error', () => {});
    res.once('data', () => req.destroy());
  });
  req.on('error', () => {});
  req.end();
  await stopped.promise;
});

test('KubeletServer has containers checkpointed by POST, and tells what the runtime says', async (t) => {
  const { url, asked } = await setUp(t, {
    checkpoint: (pod, container, timeoutSeconds) => (container === 't' ? Promise.reject(new Error('rpc error: code = Unimplemented desc = no')) : Promise.resolve(`/d/${pod.metadata.name}-${container}-${timeoutSeconds}.tar`)),
  });
  const ask = (path: string): Promise<string> => brief(get(url, path, { certificate: apiserver, method: 'POST' }));
  assert.equal(await ask('/checkpoint/ns/p/c'), '200 {"items":["/d/p-c-0.tar"]}');
  assert.equal(await ask('/checkpoint/ns/p/c?timeout=3&timeout=20'), '200 {"items":["/d/p-c-20.tar"]}');
  assert.equal(await ask('/checkpoint/ns/p/t'), '500 checkpointing of ns/p/t failed (rpc error: code = Unimplemented desc = no)');
  assert.equal(await ask('/checkpoint/ns/p/x'), '404 container x does not exist');
  assert.equal(await ask('/checkpoint/ns/q/c'), '404 pod does not exist');
  assert.equal(await ask('/checkpoint/ns/p/c?timeout=soon'), '404 cannot parse value of timeout parameter');
  assert.equal((await get(url, '/checkpoint/ns/p/c')).status, 405);
  assert.deepEqual([asked[0]!.verb, asked[0]!.subresource], ['create', 'checkpoint']);
});
test('KubeletServer has directories made by POST and removed by DELETE', async (t) => {
  const { url, asked } = await setUp(t, {
    storage: {
      create: (name) => (name === '..' ? Promise.reject(new ForeignPathError(name, '/d', 'made')) : Promise.resolve(`/d/${name}`)),
      remove: (path) => (path === '/d/a b' ? Promise.resolve() : Promise.reject(path === '/d/busy' ? new Error('"/d/busy/x" is still mounted in it') : new ForeignPathError(path, '/d', 'removed'))),
    },
  });
  const ROWS: readonly [method: string, path: string, answer: string, verb: string][] = [
    ['POST', '/storage?directory=a%20b', '200 {"path":"/d/a b"}', 'create'], ['POST', '/storage/?directory=a', '200 {"path":"/d/a"}', 'create'], ['DELETE', '/storage?path=%2Fd%2Fa+b', '200 {}', 'delete'],
    ['POST', '/storage?directory=..', '400 directory ".." is not in "/d": it is not made', 'create'], ['DELETE', '/storage?path=/etc', '400 directory "/etc" is not in "/d": it is not removed', 'delete'],
    ['DELETE', '/storage', '400 directory "" is not in "/d": it is not removed', 'delete'], ['DELETE', '/storage?path=/d/busy', '500 "/d/busy/x" is still mounted in it', 'delete'],
    ['GET', '/storage?directory=a', '405 Method Not Allowed', 'get'], ['PUT', '/storage?directory=a', '405 Method Not Allowed', 'update'], ['DELETE', '/storage/a', '404 404 page not found\n', 'delete'],
  ];
  for (const [method, path, answer, verb] of ROWS) {
    asked.length = 0;
    assert.equal(await brief(get(url, path, { certificate: apiserver, method })), answer, `${method} ${path}`);
    assert.deepEqual(asked.map((a) => [a.verb, a.subresource]), [[verb, 'proxy']]);
  }
  assert.equal((await get(url, '/storage')).headers['allow'], 'POST, DELETE');
  for (const [method, verb] of [['POST', 'create'], ['DELETE', 'delete']] as const) {
    assert.equal(await brief(get(url, '/storage?directory=a&path=/d/a', { token: 'good', method })), `403 Forbidden (user=prometheus, verb=${verb}, resource=nodes, subresource(s)=[proxy])\n`);
  }
});
test('KubeletServer runs commands by POST', async (t) => {
  const { url } = await setUp(t, {
    async run(_pod, container, command) {
      if (container === 'x') return undefined;
      if (command[0] === 'false') throw new Error('command \'false\' exited with 1: ');
      return Buffer.from(JSON.stringify(command));
    },
  });
  const run = (path: string): Promise<string> => brief(get(url, path, { certificate: apiserver, method: 'POST' }));
  assert.equal(await run('/run/ns/p/c?cmd=ls%20-l'), '200 ["ls","-l"]');
  assert.equal(await run('/run/ns/p/u1/c?cmd=ls'), '200 ["ls"]');
  assert.equal(await run('/run/ns/p/c?cmd=false'), '500 command \'false\' exited with 1: ');
  assert.equal(await run('/run/ns/p/x?cmd=ls'), '500 container not found ("x")');
  assert.equal(await run('/run/ns/q/c?cmd=ls'), '404 pod does not exist');
  assert.equal((await get(url, '/run/ns/p/c?cmd=ls')).status, 405);
});

const tls = { ca: authority.cert, ...apiserver };
const ALL: RemoteCommandStreams = { stdin: true, stdout: true, stderr: true, tty: false };
for (const transport of ['spdy', 'websocket'] as const) {
  describe(`KubeletServer over ${transport}`, () => {
    test('joins exec to the runtime: 5 MB through stdin and back, stderr, exit code', async (t) => {
      const runtime = await echoRuntime(t, ALL);
      const seen: unknown[] = [];
      const { url } = await setUp(t, {
        async execUrl(pod, container, command, streams) {
          seen.push(pod.metadata.uid, container, command, streams);
          return runtime;
        },
      });
      const command = await dialRemoteCommand(new URL('/exec/ns/p/c?input=1&output=1&error=1&command=sh&command=-c&command=cat', url), { transport, tls, ...ALL });
      const sent = randomBytes(5 << 20);
      command.stdin!.end(sent);
      const [stdout, stderr, status] = await Promise.all([buffer(command.stdout!), text(command.stderr!), command.status]);
      assert.ok(stdout.equals(sent));
      assert.equal(stderr, 'to stderr');
      assert.equal(exitCodeOf(status!), 3);
      assert.deepEqual(seen, ['u1', 'c', ['sh', '-c', 'cat'], ALL]);
      await command.closed;
    });

    test('attaches with the container\'s own terminal and passes sizes on', async (t) => {
      const tty = { stdin: true, stdout: true, stderr: false, tty: true };
      const runtime = await echoRuntime(t, tty);
      const { url } = await setUp(t, { attachUrl: async (_pod, _container, streams) => (assert.deepEqual(streams, tty), runtime) });
      const command = await dialRemoteCommand(new URL('/attach/ns/p/t?input=1&output=1&error=1&tty=1', url), { transport, tls, ...tty });
      command.resize({ width: 101, height: 33 });
      assert.equal(await text(command.stdout!), '101x33');
      assert.equal(exitCodeOf((await command.status)!), 0);
    });

    test('shows a client that came to attach too late what the container had printed, and nothing twice', async (t) => {
      const out = { stdin: false, stdout: true, stderr: true, tty: false };
      const runtime = (prints: string): Promise<URL> => runtimeServer(t, async (req, socket, head) => {
        const session = await acceptRemoteCommand(req, socket, head, out);
        if (prints) session!.stdout!.write(prints);
        await session!.finish(exitStatus(0));
      });
      const attached = async (prints: string): Promise<string[]> => {
        const { url } = await setUp(t, { attachUrl: () => runtime(prints), async *missedOutput(_pod, _container, stream) { yield Buffer.from(`all of ${stream}`); } });
        const command = await dialRemoteCommand(new URL('/attach/ns/p/c?output=1&error=1', url), { transport, tls, ...out });
        return await Promise.all([text(command.stdout!), text(command.stderr!)]);
      };
      assert.deepEqual(await attached(''), ['all of Stdout', 'all of Stderr']);
      assert.deepEqual(await attached('the rest'), ['the rest', '']);
    });

    test('tells why a command cannot be run', async (t) => {
      const gone = await runtimeServer(t, (_req, socket) => socket.resume().end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
      const { url } = await setUp(t, {
        async execUrl(_pod, _container, command) {
          if (command[0] === 'gone') return gone;
          if (command[0] === 'busy') throw Object.assign(new Error('rpc error: code = ResourceExhausted desc = too many'), { code: 'ResourceExhausted' });
          return undefined;
        },
      });
      const dial = (path: string, streams: Partial<RemoteCommandStreams> = {}) => dialRemoteCommand(new URL(path, url), { transport, tls, ...ALL, stdin: false, ...streams });
      const refused = async (path: string): Promise<string> => {
        const err = await dial(path).then(() => assert.fail(), (e: unknown) => e);
        assert.ok(err instanceof UpgradeRefusedError, String(err));
        return `${err.statusCode} ${err.body}`;
      };
      assert.equal(await refused('/exec/ns/p/c?output=1&command=x'), '500 container not found ("c")');
      assert.equal(await refused('/exec/ns/p/other-uid/c?output=1&command=gone'), '500 container not found ("c")');
      assert.equal(await refused('/exec/ns/q/c?output=1&command=x'), '404 pod does not exist');
      assert.equal(await refused('/exec/ns/p/c?command=x'), '400 you must specify at least 1 of stdin, stdout, stderr');
      assert.equal(await refused('/exec/ns/p/c?output=1&command=busy'), '429 rpc error: code = ResourceExhausted desc = too many');
      const command = await dial('/exec/ns/p/c?output=1&error=1&command=gone');
      command.stdout!.resume();
      command.stderr!.resume();
      assert.equal((await command.status)!.message, 'Internal error occurred: error executing command in container: unable to upgrade connection: 404 Not Found');
    });

    test('closes the runtime\'s side when the client goes away', async (t) => {
      const closed = Promise.withResolvers<void>();
      const runtime = await runtimeServer(t, async (req, socket, head) => {
        const session = (await acceptRemoteCommand(req, socket, head, ALL))!;
        session.stdin!.resume();
        session.signal.addEventListener('abort', () => closed.resolve(), { once: true });
        session.stdout!.write('running');
      });
      const { url } = await setUp(t, { execUrl: async () => runtime });
      const command = await dialRemoteCommand(new URL('/exec/ns/p/c?input=1&output=1&error=1&command=x', url), { transport, tls, ...ALL });
      command.stderr!.resume();
      command.stdout!.once('data', () => command.close());
      await closed.promise;
    });
  });
}

test('KubeletServer wants an upgrade for exec', async (t) => {
  const { url } = await setUp(t);
  assert.equal(await brief(get(url, '/exec/ns/p/c?output=1')), '500 Upgrade request required\n');
});

describe('KubeletServer forwards ports', () => {
  const setUpForward = async (t: TestContext): Promise<{ url: URL; port: number }> => {
    const echo = createTcpServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    t.after(() => echo.close());
    const runtime = await runtimeServer(t, async (req, socket, head) => {
      const session = acceptPortForward(req, socket, head, { ports: [] });
      for await (const stream of session!.streams) {
        const open = (): Promise<Duplex> => new Promise((resolve, reject) => {
          const target: Socket = connect({ port: stream.port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(target));
          target.once('error', reject);
        });
        void forwardTo(stream, open, (err) => `error forwarding port ${stream.port} to pod x: ${(err as Error).message}`);
      }
    });
    const { url } = await setUp(t, { portForwardUrl: async () => runtime });
    return { url: new URL('/portForward/ns/p', url), port: (echo.address() as AddressInfo).port };
  };
  const exercise = async (connection: SpdyConnection, port: number): Promise<void> => {
    const open = async (id: string, to: number): Promise<[Duplex, Duplex]> => {
      const error = await connection.openStream({ streamtype: 'error', port: String(to), requestid: id });
      const data = await connection.openStream({ streamtype: 'data', port: String(to), requestid: id });
      error.end();
      return [data, error];
    };
    const [data, error] = await open('0', port);
    const sent = randomBytes(3 << 20);
    data.end(sent);
    assert.ok((await buffer(data)).equals(sent));
    assert.equal(await text(error), '');
    const [dead, why] = await open('1', 1);
    dead.resume();
    assert.match(await text(why), /^error forwarding port 1 to pod x: connect ECONNREFUSED/);
    connection.close();
    await connection.closed;
  };

  test('over SPDY', async (t) => {
    const { url, port } = await setUpForward(t);
    await exercise((await dialSpdy(url, { protocols: [PORT_FORWARD_PROTOCOL], tls })).connection, port);
  });
  test('over the WebSocket tunnel', async (t) => {
    const { url, port } = await setUpForward(t);
    const { ws } = await dialWebSocket(url, { protocols: [PORT_FORWARD_TUNNEL_PROTOCOL], tls });
    await exercise(new SpdyConnection(new WebSocketTunnel(ws), { side: 'client' }), port);
  });
  test('over WebSocket channels', async (t) => {
    const { url, port } = await setUpForward(t);
    const { ws } = await dialWebSocket(new URL(`?port=${port},1`, url), { protocols: ['v4.channel.k8s.io'], tls });
    const channels = new WebSocketChannels(ws, { count: 4, base64: false, closable: false, side: 'client' });
    const data = channels.channel(0);
    data.write('ping');
    const [error2, first] = await Promise.all([
      new Promise<string>((resolve) => {
        let said = '';
        channels.channel(3).on('data', (part: Buffer) => (said += part.toString('latin1')).includes('REFUSED') && resolve(said.slice(2)));
      }),
      new Promise<string>((resolve) => {
        let said = '';
        data.on('data', (part: Buffer) => (said += part.toString('latin1')).length >= 6 && resolve(said.slice(2)));
      }),
    ]);
    assert.equal(first, 'ping');
    assert.match(error2, /^error forwarding port 1 to pod x/);
    channels.close();
    await channels.closed;
  });
  test('and refuses what makes no sense', async (t) => {
    const { url } = await setUp(t);
    const refused = async (path: string, protocol: string): Promise<string> => {
      const err = await dialWebSocket(new URL(path, url), { protocols: [protocol], tls }).then(() => assert.fail(), (e: unknown) => e as UpgradeRefusedError);
      return `${err.statusCode} ${err.body}`;
    };
    assert.equal(await refused('/portForward/ns/p', 'v4.channel.k8s.io'), '400 query parameter "port" is required');
    assert.equal(await refused('/portForward/ns/q', PORT_FORWARD_TUNNEL_PROTOCOL), '404 pod does not exist');
    assert.equal(await refused('/portForward/ns/p/other', PORT_FORWARD_TUNNEL_PROTOCOL), '404 pod not found');
  });
});

test('KubeletServer.stop ends running sessions', async (t) => {
  const runtime = await runtimeServer(t, async (req, socket, head) => {
    // Undefined when the server is faster to stop than we are to start.
    const session = await acceptRemoteCommand(req, socket, head, ALL);
    session?.stdin!.resume();
  });
  const server = new KubeletServer({
    address: '127.0.0.1', port: 0, certificate: serving, clientCa: authority.cert,
    auth: { authenticateToken: async () => undefined, authorize: async () => true },
    host: { podByName: () => POD, execUrl: async () => runtime } as Partial<KubeletHost> as KubeletHost,
  });
  await server.start(new AbortController().signal);
  const command = await dialRemoteCommand(new URL(`https://127.0.0.1:${server.port}/exec/ns/p/c?input=1&output=1&error=1&command=x`), { transport: 'spdy', tls, ...ALL });
  command.stdout!.resume();
  command.stderr!.resume();
  await server.stop();
  await command.closed;
  await server.stop();
});

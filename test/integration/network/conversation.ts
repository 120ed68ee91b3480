/** Conversations by TCP between machines and Pods that are network namespaces. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Machine } from './namespaces.ts';

/** Where {@link serve} listens. */
export const PORT = 8080;
/** Long enough for an answer that comes at all. */
const CUT_OFF_MS = 1000;
/** Answers each connection, once it is at its end, with the address that it came from and how many bytes it brought. */
const SERVER = `require('net').createServer({ allowHalfOpen: true }, (s) => {
  let bytes = 0;
  s.on('data', (d) => (bytes += d.length)).on('end', () => s.end(s.remoteAddress + ' ' + bytes)).on('error', () => {});
}).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;
const client = ({ ip, port = PORT }: Server, bytes: number, timeoutMs = 5000): string => `const s = require('net').connect(${port}, '${ip}');
  s.setTimeout(${timeoutMs}, () => s.destroy(new Error('no answer'))); s.end(Buffer.alloc(${bytes})); s.pipe(process.stdout)`;

/** Where a server is reached. */
export interface Server {
  readonly ip: string;
  readonly port?: number;
}
/** Listens until the test, or whatever else `t` is, is over. */
export async function serve(t: { after(end: () => Promise<void>): void }, where: Machine): Promise<void> {
  const server = spawn('nsenter', [`--net=${where.netns}`, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  t.after(async () => {
    server.kill();
    await ended;
  });
  await once(server.stdout, 'data');
}
/** Sends bytes to the server at `to`. Resolves with the address that this one saw, and how many came. Rejects where there is no answer for five seconds. */
export async function send(from: Machine, to: Server, bytes: number): Promise<{ source: string; bytes: number }> {
  const [source = '', came] = (await from.run(process.execPath, '-e', client(to, bytes))).split(' ');
  return { source, bytes: Number(came) };
}
/** What the server at `to` sees as the source of a connection. */
export async function sourceSeen(from: Machine, to: Server): Promise<string> {
  return (await send(from, to, 0)).source;
}
/** True when no connection comes about. */
export function isCutOff(from: Machine, to: Server): Promise<boolean> {
  return from.run(process.execPath, '-e', client(to, 0, CUT_OFF_MS)).then(() => false, () => true);
}

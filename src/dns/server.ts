/** The sockets: UDP and TCP on one address and port, for clients that may ask. Everybody else is not answered. Source: RFC 1035 4.2, RFC 7766. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { BlockList, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { logger } from '#base/logger.ts';
import type { Responder } from './responder.ts';

const log = logger('dns');
const MAX_UDP_PENDING = 2_000;
const MAX_TCP_CONNECTIONS = 200;
const TCP_IDLE_MS = 10_000;
/** Questions of one connection that are answered at the same time. */
const MAX_PIPELINED = 16;

export interface DnsServerOptions {
  /** Address to listen on. */
  readonly host: string;
  /** Port to listen on, where it is free; else any. */
  readonly port: number;
  /** Range of those who may ask; the machine itself may too. */
  readonly clients: string;
  /** Others who may. Default: none. */
  readonly mayAsk?: ((address: string) => boolean) | undefined;
  readonly responder: Responder;
}

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #allowed = new BlockList();
  readonly #abort = new AbortController();
  readonly #connections = new Set<Socket>();
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  #pending = 0;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    const [net = '', bits = ''] = options.clients.split('/');
    this.#allowed.addSubnet(net, Number(bits), net.includes(':') ? 'ipv6' : 'ipv4');
    this.#allowed.addSubnet('127.0.0.0', 8, 'ipv4');
  }
  /** Opens both sockets; gives the port. */
  async start(): Promise<number> {
    try {
      return await this.#open(this.#options.port);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EADDRINUSE' || this.#options.port === 0) throw err;
      log.warn({ port: this.#options.port }, 'The port of DNS is in use: taking another one');
    }
    return this.#open(0);
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('DNS is stopping'));
    for (const c of this.#connections) c.destroy();
    await Promise.all([new Promise<void>((resolve) => (this.#udp ? this.#udp.close(() => resolve()) : resolve())), new Promise<void>((resolve) => (this.#tcp ? this.#tcp.close(() => resolve()) : resolve()))]);
    this.#udp = undefined;
    this.#tcp = undefined;
  }

  async #open(port: number): Promise<number> {
    const { host } = this.#options;
    const tcp = createServer((socket) => this.#connected(socket));
    tcp.maxConnections = MAX_TCP_CONNECTIONS;
    await opened(tcp, () => tcp.listen(port, host));
    const bound = (tcp.address() as { port: number }).port;
    const udp = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
    try {
      await opened(udp, () => udp.bind(bound, host));
    } catch (err) {
      tcp.close();
      throw err;
    }
    tcp.on('error', (err) => log.error({ err }, 'DNS over TCP has failed'));
    udp.on('error', (err) => log.error({ err }, 'DNS over UDP has failed'));
    udp.on('message', (message, from) => void this.#datagram(udp, message, from));
    this.#tcp = tcp;
    this.#udp = udp;
    return bound;
  }
  /** The Pod network, the machine's own addresses and the cluster's other nodes: nobody else's questions are any of ours. */
  #mayAsk(address: string): boolean {
    const plain = address.replace(/^::ffff:/, '');
    if (this.#allowed.check(plain, plain.includes(':') ? 'ipv6' : 'ipv4')) return true;
    if (this.#options.mayAsk?.(plain)) return true;
    return Object.values(networkInterfaces()).some((list) => list?.some((i) => i.address === plain));
  }
  async #datagram(udp: UdpSocket, message: Buffer, from: { address: string; port: number }): Promise<void> {
    if (this.#pending >= MAX_UDP_PENDING || !this.#mayAsk(from.address)) return;
    this.#pending++;
    try {
      const answer = await this.#options.responder.respond(message, { address: from.address, tcp: false }, this.#abort.signal);
      if (answer && !this.#abort.signal.aborted) udp.send(answer, from.port, from.address);
    } catch (err) {
      if (!this.#abort.signal.aborted) log.error({ err }, 'A question was not answered');
    } finally {
      this.#pending--;
    }
  }
  #connected(socket: Socket): void {
    const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    if (!this.#mayAsk(address)) return void socket.destroy();
    this.#connections.add(socket);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    let got: Buffer = Buffer.alloc(0);
    let running = 0;
    const answerOne = async (message: Buffer): Promise<void> => {
      const answer = await this.#options.responder.respond(message, { address, tcp: true }, this.#abort.signal);
      if (!answer || socket.destroyed) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    };
    const next = (): void => {
      while (running < MAX_PIPELINED && got.length >= 2 && got.length >= got.readUInt16BE(0) + 2) {
        const message = got.subarray(2, got.readUInt16BE(0) + 2);
        got = got.subarray(message.length + 2);
        running++;
        void answerOne(message).catch((err: unknown) => {
          if (!this.#abort.signal.aborted) log.error({ err }, 'A question was not answered');
          socket.destroy();
        }).finally(() => {
          running--;
          next();
        });
      }
      if (running < MAX_PIPELINED) socket.resume();
      else socket.pause();
    };
    socket.on('data', (part: Buffer) => {
      got = Buffer.concat([got, part]);
      next();
    });
  }
}
function opened(socket: Server | UdpSocket, open: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('listening', () => {
      socket.off('error', reject);
      resolve();
    });
    open();
  });
}

/**
 * The certificates of a node that has joined: its client's, with which it came, and its kubelet's serving one. Both are asked for anew in time,
 * by the node itself.
 *
 * ```
 *   join ──▶ client certificate ──▶ transport ──▶ the Node is registered ──▶ serving certificate ──▶ kubelet's server
 *                    ▲                                                              ▲
 *                    └────────────── when four fifths of their time are over ─────────────┘
 * ```
 * Source: reference/access-authn-authz/kubelet-tls-bootstrapping.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { sleep, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { readPair, writePair } from '../pki/files.ts';
import { createAuthority, issueLeaf, readIfThere, writeKubeconfig, writeSecretFile, type KeyPair } from '../pki.ts';
import { adminNames } from '../config.ts';
import { nodeUser, requestCertificate, type NodeCertificate } from './certificate-request.ts';
import type { JoinedConfig } from './config.ts';

const log = logger('certificates');
const CLIENT_FILE = 'kubelet-client';
const SERVING_FILE = 'kubelet';
/** Who waits for a node's logs waits for its certificate: normally it comes within a second. */
const SERVING_WAIT_MS = 10_000;
const RETRY_MS = { first: 5000, max: 600_000 } as const;
/** Share of a certificate's time after which the next one is asked for: upstream's kubelet takes 0.7 to 0.9. */
const RENEW_AFTER = 0.8;
/** A timer holds no more than 2^31 − 1 ms. */
const LONGEST_SLEEP_MS = 86_400_000;

const pkiDir = (config: JoinedConfig): string => join(config.dataDir, 'pki');

export function clientCertificateOf(nodeName: string): NodeCertificate {
  return { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usage: 'client auth', nodeName };
}
/** Puts the node's first certificate, the cluster's authority and a kubeconfig for the node into the data directory. */
export async function writeNodeCredentials(config: JoinedConfig, ca: string, client: KeyPair): Promise<void> {
  await writeSecretFile(join(pkiDir(config), 'ca.crt'), ca);
  await writePair(pkiDir(config), CLIENT_FILE, client);
  const { cluster, context } = adminNames(config);
  await writeKubeconfig(config.kubeconfig, { server: config.server, ca, cluster, user: nodeUser(config.nodeName), context, credentials: client });
}

export class NodeCertificates implements Component {
  readonly name = 'certificates';
  readonly #config: JoinedConfig;
  readonly #clock: Clock;
  readonly #request: (wanted: NodeCertificate, signal: AbortSignal) => Promise<KeyPair>;
  readonly #abort = new AbortController();
  readonly #loops: Promise<void>[] = [];
  #ca = '';
  #transport: HttpTransport | undefined;

  /** `request` asks the cluster for a certificate; default: over {@link transport}. */
  constructor(config: JoinedConfig, clock: Clock, request?: (wanted: NodeCertificate, signal: AbortSignal) => Promise<KeyPair>) {
    this.#config = config;
    this.#clock = clock;
    this.#request = request ?? ((wanted, signal) => requestCertificate(new Client(this.transport, 'kubelet'), wanted, signal));
  }
  /** PEM of the cluster's authority. */
  get ca(): string {
    return this.#ca;
  }
  /** To the server, as this node. Throws before the start. */
  get transport(): HttpTransport {
    if (!this.#transport) throw new Error('the certificates have not been read yet');
    return this.#transport;
  }

  /** Rejects when the node has no certificate, or one that has ended. */
  async start(): Promise<void> {
    const { server, nodeName } = this.#config;
    const [ca, client] = await Promise.all([readIfThere(join(pkiDir(this.#config), 'ca.crt')), readPair(pkiDir(this.#config), CLIENT_FILE)]);
    if (ca === undefined || !client) throw new Error(`there is no certificate for node "${nodeName}" in ${pkiDir(this.#config)}: join again, with a token that "podyard token create" makes on the server`);
    const end = new X509Certificate(client.cert).validToDate;
    if (end.getTime() <= this.#clock.now()) throw new Error(`the certificate of node "${nodeName}" ended at ${end.toISOString()}: join again, with a token that "podyard token create" makes on the server`);
    this.#ca = ca;
    this.#transport = new HttpTransport({ server, ca, ...client, userAgent: 'podyard-node' });
    this.#loops.push(this.#keep(client, clientCertificateOf(nodeName), async (pair) => {
      await writeNodeCredentials(this.#config, ca, pair);
      this.transport.setCredentials(pair);
    }));
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the node is stopping'));
    await Promise.all(this.#loops);
    this.#transport?.close();
  }

  /**
   * The kubelet's serving certificate: the one on disk where it still fits, else a new one. Where nobody approves it in time, one that no client
   * trusts, until the cluster's comes. `use` is called with each one that comes later.
   */
  async serving(use: (pair: KeyPair) => void): Promise<KeyPair> {
    const { nodeName, nodeIP } = this.#config;
    const wanted: NodeCertificate = { signerName: 'kubernetes.io/kubelet-serving', usage: 'server auth', nodeName, dnsNames: [nodeName], ipAddresses: [nodeIP] };
    const keep = async (pair: KeyPair): Promise<void> => {
      await writePair(pkiDir(this.#config), SERVING_FILE, pair);
      use(pair);
    };
    const known = await readPair(pkiDir(this.#config), SERVING_FILE);
    if (known && fits(known, this.#ca, nodeIP, nodeName) && renewalIn(known.cert, this.#clock.now()) > 0) {
      this.#loops.push(this.#keep(known, wanted, keep));
      return known;
    }
    const first = Promise.withResolvers<KeyPair>();
    this.#loops.push(this.#keep(undefined, wanted, async (pair) => {
      await keep(pair);
      first.resolve(pair);
    }));
    const waiting = new AbortController();
    const late = sleep(this.#clock, SERVING_WAIT_MS, AbortSignal.any([waiting.signal, this.#abort.signal])).then(() => undefined, () => undefined);
    const pair = await Promise.race([first.promise, late]);
    waiting.abort();
    if (pair) return pair;
    log.warn({ node: nodeName }, 'the serving certificate is not approved yet: logs, exec and metrics of this node wait for it');
    return await selfSigned(this.#config, this.#clock);
  }

  /** Asks for a certificate when the last one nears its end, or there is none, and again until it has one. */
  async #keep(last: KeyPair | undefined, wanted: NodeCertificate, use: (pair: KeyPair) => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    let current = last;
    let retryMs: number = RETRY_MS.first;
    while (!signal.aborted) {
      const due = current ? renewalIn(current.cert, this.#clock.now()) : 0;
      try {
        if (due > 0) {
          await sleep(this.#clock, Math.min(due, LONGEST_SLEEP_MS), signal);
          continue;
        }
        const pair = await this.#request(wanted, signal);
        await use(pair);
        current = pair;
        retryMs = RETRY_MS.first;
        log.info({ signer: wanted.signerName }, 'the node has a new certificate');
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err, signer: wanted.signerName }, 'no certificate yet, trying again');
        await sleep(this.#clock, retryMs, signal).catch(() => {});
        retryMs = Math.min(retryMs * 2, RETRY_MS.max);
      }
    }
  }
}

/** Milliseconds until a certificate is to be made anew; 0: now. */
function renewalIn(pem: string, now: number): number {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return Math.max(0, from + (to - from) * RENEW_AFTER - now);
}
function fits(pair: KeyPair, ca: string, ip: string, name: string): boolean {
  const cert = new X509Certificate(pair.cert);
  return cert.verify(new X509Certificate(ca).publicKey) && cert.checkIP(ip) !== undefined && cert.checkHost(name, { subject: 'never' }) !== undefined;
}
async function selfSigned({ nodeName, nodeIP }: JoinedConfig, clock: Clock): Promise<KeyPair> {
  const authority = await createAuthority(`${nodeName}-unapproved`, clock);
  return await issueLeaf(authority, { commonName: nodeUser(nodeName), dnsNames: [nodeName], ipAddresses: [nodeIP], usages: ['server auth'] }, clock);
}

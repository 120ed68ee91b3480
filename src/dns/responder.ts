/** Answers one message: from the cluster's zone, from addresses of the cluster, or from the host's resolvers. */
import { decode } from 'dns-packet';
import { ipText, parseIP } from '#machinery/ip.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Forwarder } from './forwarder.ts';
import { encodeAnswer, readPassing, SMALLEST_UDP_SIZE, OUR_UDP_SIZE, type Answer, type Asked, type DnsRecord, type Rcode } from './wire.ts';
import type { Zone } from './zone.ts';

export interface ResponderOptions {
  readonly zone: Zone;
  readonly view: ClusterView;
  readonly forwarder: Forwarder;
  /** The host's own search domains, which Pods have after the cluster's. */
  hostSearch(): Promise<readonly string[]>;
}
/** How a question came. */
export interface Client {
  readonly address: string;
  readonly tcp: boolean;
}
interface Question extends Asked {
  /** Lower case, no final dot. */
  readonly lowerName: string;
  readonly type: string;
}
const IN = 1;
const ANY_CLASS = 255;

/** The question of a message; a code where it has none that can be answered, undefined where it is not even worth an answer. */
function parseQuestion(message: Buffer): Question | { readonly id: number; readonly rcode: Rcode } | undefined {
  if (message.length < 12) return undefined;
  const id = message.readUInt16BE(0);
  const flags = message.readUInt16BE(2);
  // An answer must never be answered: two servers would talk for ever.
  if (flags & 0x8000) return undefined;
  if ((flags >> 11) & 15) return { id, rcode: 'NOTIMP' };
  try {
    const packet = decode(message);
    const question = packet.questions?.[0];
    if (!question || packet.questions!.length !== 1) return { id, rcode: 'FORMERR' };
    const opt = packet.additionals?.find((r) => r.type === 'OPT');
    let end = 12;
    while (message[end] !== 0) end += message[end]! + 1;
    const name = question.name === '.' ? '' : question.name;
    return {
      id, name, lowerName: name.toLowerCase(), type: question.type, typeNumber: message.readUInt16BE(end + 1), classNumber: message.readUInt16BE(end + 3),
      recursionDesired: (flags & 0x0100) !== 0, udpSize: opt?.type === 'OPT' ? opt.udpPayloadSize : undefined,
    };
  } catch {
    return { id, rcode: 'FORMERR' };
  }
}
/** The address that a reverse name stands for. */
export function reverseAddress(name: string): string | undefined {
  const v4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (v4 !== undefined) return v4.slice(0, -1).split('.').toReversed().join('.');
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  const ip = v6 && parseIP(v6.replaceAll('.', '').split('').toReversed().join('').replaceAll(/(.{4})(?!$)/g, '$1:'));
  return ip ? ipText(ip) : undefined;
}

export class Responder {
  readonly #options: ResponderOptions;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }
  /** The answer's bytes; undefined: none is given. Never rejects but for the signal. */
  async respond(message: Buffer, client: Client, signal: AbortSignal): Promise<Buffer | undefined> {
    const question = parseQuestion(message);
    if (!question) return undefined;
    if ('rcode' in question) return refuse(message, question.id, question.rcode);
    const { zone } = this.#options;
    if (question.classNumber !== IN && question.classNumber !== ANY_CLASS) return encodeAnswer(question, { rcode: 'REFUSED' }, client.tcp);
    if (zone.holds(question.lowerName)) return encodeAnswer(question, await this.#own(question, client, signal), client.tcp);
    const ip = question.type === 'PTR' ? reverseAddress(question.lowerName) : undefined;
    const names = ip === undefined ? undefined : zone.reverse(question.name, ip);
    if (names) return encodeAnswer(question, names, client.tcp);
    return this.#forwarded(question, message, client, signal);
  }
  async #own(question: Question, client: Client, signal: AbortSignal): Promise<Answer> {
    const { zone } = this.#options;
    const { alias, ...answer } = zone.answer(question.lowerName, question.type);
    // The asker's own way of writing the name comes back.
    const renamed = { ...answer, ...(answer.answers ? { answers: answer.answers.map((r) => (r.name === question.lowerName ? { ...r, name: question.name } : r)) } : {}) };
    if (renamed.rcode === 'NXDOMAIN' && this.#isSearchOfService(question.lowerName, client, ['svc', ''].map((p) => [p, zone.domain].filter(Boolean).join('.')))) return zone.empty('NOERROR');
    return alias === undefined ? renamed : { ...renamed, answers: [...(renamed.answers ?? []), ...(await this.#chase(alias, question, signal))] };
  }
  /** The addresses at the end of an ExternalName. */
  async #chase(alias: string, question: Question, signal: AbortSignal): Promise<DnsRecord[]> {
    const { zone, forwarder } = this.#options;
    const records: DnsRecord[] = [];
    let name = alias;
    // Services may lead to one another, in a circle too.
    for (let i = 0; i < 8 && zone.holds(name); i++) {
      const next = zone.answer(name, question.type);
      records.push(...(next.answers ?? []));
      if (next.alias === undefined) return records;
      name = next.alias;
    }
    if (zone.holds(name)) return records;
    const reply = await forwarder.ask(`${name} ${question.typeNumber} 1`, newQuery(name, question.typeNumber), signal);
    if (!reply) return records;
    for (const r of decode(reply).answers ?? []) {
      if ((r.type === 'A' || r.type === 'AAAA' || r.type === 'CNAME') && typeof r.data === 'string') records.push({ name: r.name, type: r.type, ttl: r.ttl ?? 0, data: r.data });
    }
    return records;
  }
  async #forwarded(question: Question, message: Buffer, client: Client, signal: AbortSignal): Promise<Buffer> {
    const key = `${question.lowerName} ${question.typeNumber} ${question.classNumber} ${question.recursionDesired} ${question.udpSize ?? ''}`;
    const reply = await this.#options.forwarder.ask(question.name === question.lowerName ? key : `${key} ${question.name}`, message, signal);
    const rcode = reply ? readPassing(reply).rcode : 2;
    if ((rcode === 3 || rcode === 2) && this.#isSearchOfService(question.lowerName, client, await this.#options.hostSearch())) return encodeAnswer(question, { rcode: 'NOERROR' }, client.tcp);
    if (!reply) return encodeAnswer(question, { rcode: 'SERVFAIL' }, client.tcp);
    const limit = Math.max(SMALLEST_UDP_SIZE, Math.min(question.udpSize ?? SMALLEST_UDP_SIZE, OUR_UDP_SIZE));
    // What came over TCP may be too long for UDP: the client then comes over TCP itself.
    return client.tcp || reply.length <= limit ? reply : truncated(question);
  }
  /**
   * Whether a name that does not exist is only a later try of a search list, for a Service that the Pod finds under its first one.
   * Some resolvers (busybox 1.35's nslookup) take one NXDOMAIN among their tries for failure; those that stop at the first hit never
   * ask. Everybody else must hear NXDOMAIN: to some, no data means that the search is over.
   */
  #isSearchOfService(name: string, client: Client, suffixes: readonly string[]): boolean {
    const dot = name.indexOf('.');
    if (dot <= 0 || !suffixes.includes(name.slice(dot + 1))) return false;
    const namespace = this.#options.view.namespaceOfPod(client.address);
    return namespace !== undefined && this.#options.view.service(namespace, name.slice(0, dot)) !== undefined;
  }
}

function newQuery(name: string, type: number): Buffer {
  const labels = name.split('.').map((l) => Buffer.concat([Buffer.from([l.length]), Buffer.from(l, 'latin1')]));
  const head = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, type >> 8, type & 255, 0, IN])]);
}
function refuse(message: Buffer, id: number, rcode: Rcode): Buffer {
  const answer = Buffer.alloc(12);
  answer.writeUInt16BE(id, 0);
  answer.writeUInt16BE(0x8000 | (message.readUInt16BE(2) & 0x7900) | (rcode === 'NOTIMP' ? 4 : 1), 2);
  return answer;
}
function truncated(question: Question): Buffer {
  const answer = encodeAnswer(question, { rcode: 'NOERROR' }, false);
  answer.writeUInt16BE(answer.readUInt16BE(2) | 0x0200, 2);
  return answer;
}

/** Neutral requests and answers: what passes between the ways to the kubelet's server (HTTPS, in process) and its endpoints. */
import type { Duplex } from 'node:stream';
import type { UpgradeRequest } from '#machinery/httpstream/upgrade.ts';
import type { UserInfo } from './interfaces.ts';

export interface KubeletRequest {
  /** Who asks: whoever brings the request has made sure of it. */
  readonly user: UserInfo;
  readonly method: string;
  /** Path and query count. */
  readonly url: URL;
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;
}
/** A request that takes its connection over. */
export interface KubeletUpgrade extends KubeletRequest, Pick<UpgradeRequest, 'headers' | 'rawHeaders'> {
  readonly method: string;
}
export interface KubeletAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Pieces as they come must be read to their end or cancelled (`return()`); they reject where the answer cannot be whole. */
  readonly body: Buffer | AsyncIterable<Buffer>;
}

/** A kubelet of this process, for who has its objects and connections at hand: no sockets of its own, no text, no TLS. */
export interface LocalKubelet {
  handle(request: KubeletRequest): Promise<KubeletAnswer>;
  upgrade(request: KubeletUpgrade, socket: Duplex, head: Buffer): Promise<void>;
}

export function textAnswer(status: number, text: string, headers: Readonly<Record<string, string>> = {}): KubeletAnswer {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff', ...headers }, body: Buffer.from(text) };
}
export function jsonAnswer(value: unknown): KubeletAnswer {
  return { status: 200, headers: { 'Content-Type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) };
}
export function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}

import type { HostPort } from './pod-info.ts';

const ANY = '0.0.0.0';

/** Host ports in use on a node. `0.0.0.0` stands for all addresses: it conflicts with the same port on any of them. */
export class HostPorts {
  /** Users by `protocol/port`, then by address. */
  readonly #used = new Map<string, Map<string, number>>();

  add(ports: readonly HostPort[]): void {
    for (const p of ports) {
      const key = `${p.protocol}/${p.port}`;
      const byIp = this.#used.get(key) ?? new Map<string, number>();
      this.#used.set(key, byIp.set(p.ip, (byIp.get(p.ip) ?? 0) + 1));
    }
  }
  remove(ports: readonly HostPort[]): void {
    for (const p of ports) {
      const key = `${p.protocol}/${p.port}`;
      const byIp = this.#used.get(key);
      const left = (byIp?.get(p.ip) ?? 0) - 1;
      if (left > 0) byIp!.set(p.ip, left);
      else byIp?.delete(p.ip);
      if (byIp?.size === 0) this.#used.delete(key);
    }
  }
  conflicts(ports: readonly HostPort[]): boolean {
    return ports.some((p) => {
      const byIp = this.#used.get(`${p.protocol}/${p.port}`);
      return byIp !== undefined && (p.ip === ANY || byIp.has(p.ip) || byIp.has(ANY));
    });
  }
}

/**
 * Tells load balancers whether this node has endpoints of a Service: one small HTTP server for each `healthCheckNodePort`.
 * Source: the API reference, `healthCheckNodePort`; the page "Create an External Load Balancer".
 */
import { createServer, type Server } from 'node:http';
import { logger } from '#base/logger.ts';

const log = logger('kube-proxy');
const TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 256;

export interface ServiceHealth {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly localEndpoints: number;
}
interface Listening {
  health: ServiceHealth;
  readonly server: Server;
}

export class HealthServers {
  readonly #servers = new Map<string, Listening>();

  /** The ports that are listened on, by Service. */
  get size(): number {
    return this.#servers.size;
  }
  /** Sets what is told of a Service; undefined: nothing any more. */
  set(serviceKey: string, health: ServiceHealth | undefined): void {
    const held = this.#servers.get(serviceKey);
    if (held && held.health.port === health?.port) return void (held.health = health);
    if (held) {
      this.#servers.delete(serviceKey);
      void close(held.server);
    }
    if (health) this.#servers.set(serviceKey, this.#listen(health));
  }
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#servers.values(), (l) => close(l.server)));
    this.#servers.clear();
  }
  #listen(health: ServiceHealth): Listening {
    const server = createServer({ requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, keepAliveTimeout: TIMEOUT_MS }, (_request, response) => {
      const { namespace, name, localEndpoints } = listening.health;
      response.writeHead(localEndpoints > 0 ? 200 : 503, {
        'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff', 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
      });
      response.end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy: true }));
    });
    const listening: Listening = { health, server };
    server.maxConnections = MAX_CONNECTIONS;
    server.on('error', (err) => log.error({ err, port: health.port, service: `${health.namespace}/${health.name}` }, 'Health check port of a Service cannot be opened'));
    server.listen(health.port, '0.0.0.0').unref();
    return listening;
  }
}
function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * A client that floods, in a thread of its own: many connections, each with the next write as soon as the last is answered, and a tenth of a
 * second after it was told to come back in a whole one. Told 'stop', it says how its requests were answered and ends.
 */
import { Agent, request } from 'node:https';
import { parentPort, workerData } from 'node:worker_threads';

export interface Flood {
  /** Each connection has an object of its own: this and a dash and a number. */
  readonly url: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
}
export type FloodAnswers = Readonly<Record<string, number>>;

if (parentPort) {
  const port = parentPort;
  const { url, connections, headers, ...tls } = workerData as Flood;
  const agent = new Agent({ keepAlive: true, ...tls });
  const answers: Record<string, number> = {};
  let sent = 0;
  let stopped = false;
  let announced = false;
  const next = (connection: number): void => {
    if (stopped) return;
    const call = request(`${url}-${connection}`, { agent, method: 'PATCH', headers: { ...headers, 'content-type': 'application/merge-patch+json' } }, (response) => {
      response.resume().on('end', () => {
        const code = String(response.statusCode);
        answers[code] = (answers[code] ?? 0) + 1;
        if (!announced) port.postMessage('flooding');
        announced = true;
        if (code === '429') setTimeout(next, 100, connection);
        else next(connection);
      });
    });
    call.on('error', () => next(connection));
    call.end(JSON.stringify({ data: { n: String(sent++) } }));
  };
  for (let i = 0; i < connections; i++) next(i);
  port.on('message', () => {
    stopped = true;
    port.postMessage(answers);
    agent.destroy();
    port.close();
  });
}

import type { AnyContainer } from '../interfaces.ts';

/** A port by number or by the name of one of the container's ports. Throws for a name that it does not have. */
export function resolvePort(container: AnyContainer, port: number | string): number {
  const number = typeof port === 'number' ? port : (container.ports?.find((p) => p.name === port)?.containerPort ?? (/^\d+$/.test(port) ? Number(port) : undefined));
  if (number === undefined) throw new Error(`couldn't find port: ${JSON.stringify(port)} in container ${container.name}`);
  if (number < 1 || number > 65_535) throw new Error(`invalid port number: ${number}`);
  return number;
}

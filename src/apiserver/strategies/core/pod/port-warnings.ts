/** Ports of a Pod's containers that get in each other's way. */
import type { Container, ContainerPort } from '#api/gen/core-v1.ts';
import type { FieldPath } from '#machinery/field-errors.ts';

export type PlacedContainer = readonly [container: Container, path: FieldPath];
interface PlacedPort {
  readonly port: ContainerPort;
  readonly at: string;
}
/** As Go prints the struct. */
const goText = ({ name = '', hostPort = 0, containerPort, protocol, hostIP = '' }: ContainerPort) =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol ?? ''} HostIP:${hostIP}}`;

function clash(port: ContainerPort, other: ContainerPort): string | undefined {
  const [mine, theirs] = [port.hostPort ?? 0, other.hostPort ?? 0];
  const [ip, otherIP] = [port.hostIP ?? '', other.hostIP ?? ''];
  if (ip === otherIP && mine === theirs) return 'duplicate';
  if (mine === 0 || theirs === 0) return 'overlapping';
  return mine === theirs && (ip === '' || otherIP === '') ? 'dangerously ambiguous' : undefined;
}
const samePort = (a: ContainerPort, b: ContainerPort) => a.containerPort === b.containerPort && a.protocol === b.protocol;

export function portWarnings(containers: readonly PlacedContainer[]): string[] {
  const ports = containers.flatMap(([{ ports: own = [] }, path]) => own.map((port, i): PlacedPort => ({ port, at: path.child('ports').index(i).toString() })));
  const clashes = ports.flatMap(({ port, at }, i) => [
    ...(port.hostIP && !port.hostPort ? [`${at}: hostIP set without hostPort: ${goText(port)}`] : []),
    ...ports.slice(0, i).filter(({ port: other }) => samePort(port, other)).flatMap((other) => {
      const how = clash(port, other.port);
      return how ? [`${at}: ${how} port definition with ${other.at}`] : [];
    }),
  ]);
  const named = ports.filter(({ port }) => port.name);
  const names = named.flatMap(({ port, at }, i) => {
    const first = named.slice(0, i).find((other) => other.port.name === port.name);
    return first ? [`${at}: duplicate port name ${JSON.stringify(port.name)} with ${first.at}, services and probes that select ports by name will use ${first.at}`] : [];
  });
  return [...clashes, ...names];
}

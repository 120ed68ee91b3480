import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { ObjectReader } from '../interfaces.ts';
import type { Availability } from './api-services.ts';

const SERVICES = resourceOf('', 'v1', 'services');
const SLICES = resourceOf('discovery.k8s.io', 'v1', 'endpointslices');

/** Why the Service of an APIService cannot be reached, as far as the cluster's own objects tell; undefined: it is worth a try. */
export function endpointProblem({ spec }: APIService, reader: ObjectReader): Availability | undefined {
  const { name = '', namespace = '', port = 443 } = spec.service ?? {};
  const where = `service/${name} in ${JSON.stringify(namespace)}`;
  const no = (reason: string, message: string): Availability => ({ status: 'False', reason, message });
  const service = reader.get<Service>(SERVICES, namespace, name);
  if (!service) return no('ServiceNotFound', `${where} is not present`);
  if (service.spec.type !== 'ClusterIP' && service.spec.type !== undefined) return undefined;
  const declared = service.spec.ports?.find((p) => p.port === port);
  if (!declared) return no('ServicePortError', `${where} is not listening on port ${port}`);
  const slices = reader.list<EndpointSlice>(SLICES, namespace).filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name);
  if (slices.length === 0) return no('EndpointsNotFound', `cannot find endpointslices for ${where}`);
  const portName = declared.name ?? '';
  const serving = slices.some((s) => s.ports?.some((p) => (p.name ?? '') === portName) && s.endpoints?.some((e) => e.conditions?.ready !== false && e.addresses.length > 0));
  return serving ? undefined : no('MissingEndpoints', `endpointslices for ${where} have no addresses with port name ${JSON.stringify(portName)}`);
}

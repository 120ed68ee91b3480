/**
 * Every kind's strategy. Adding a kind is one file under `strategies/<group>/` and one name in {@link STRATEGIES}.
 */
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import type { Strategy } from '../registry/strategy.ts';
import { mutatingadmissionpolicies } from './admissionregistration/mutatingadmissionpolicies.ts';
import { mutatingadmissionpolicybindings } from './admissionregistration/mutatingadmissionpolicybindings.ts';
import { mutatingwebhookconfigurations } from './admissionregistration/mutatingwebhookconfigurations.ts';
import { validatingadmissionpolicies } from './admissionregistration/validatingadmissionpolicies.ts';
import { validatingadmissionpolicybindings } from './admissionregistration/validatingadmissionpolicybindings.ts';
import { validatingwebhookconfigurations } from './admissionregistration/validatingwebhookconfigurations.ts';
import { customresourcedefinitions } from './apiextensions/customresourcedefinitions.ts';
import { apiservices } from './apiregistration/apiservices.ts';
import { controllerrevisions } from './apps/controllerrevisions.ts';
import { daemonsets } from './apps/daemonsets.ts';
import { deployments } from './apps/deployments.ts';
import { replicasets } from './apps/replicasets.ts';
import { statefulsets } from './apps/statefulsets.ts';
import { horizontalpodautoscalers, horizontalpodautoscalersV1 } from './autoscaling/horizontalpodautoscalers.ts';
import { cronjobs } from './batch/cronjobs.ts';
import { jobs } from './batch/jobs.ts';
import { certificatesigningrequests } from './certificates/certificatesigningrequests.ts';
import { clustertrustbundles } from './certificates/clustertrustbundles.ts';
import { podcertificaterequests } from './certificates/podcertificaterequests.ts';
import { leases } from './coordination/leases.ts';
import { componentstatuses } from './core/componentstatuses.ts';
import { configmaps } from './core/configmaps.ts';
import { endpoints } from './core/endpoints.ts';
import { events as coreEvents } from './core/events.ts';
import { limitranges } from './core/limitranges.ts';
import { namespaces } from './core/namespaces.ts';
import { nodes } from './core/nodes.ts';
import { persistentvolumeclaims } from './core/persistentvolumeclaims.ts';
import { persistentvolumes } from './core/persistentvolumes.ts';
import { pods } from './core/pods.ts';
import { podtemplates } from './core/podtemplates.ts';
import { replicationcontrollers } from './core/replicationcontrollers.ts';
import { resourcequotas } from './core/resourcequotas.ts';
import { secrets } from './core/secrets.ts';
import { serviceaccounts } from './core/serviceaccounts.ts';
import { services } from './core/services.ts';
import { endpointslices } from './discovery/endpointslices.ts';
import { events } from './events/events.ts';
import { flowschemas } from './flowcontrol/flowschemas.ts';
import { prioritylevelconfigurations } from './flowcontrol/prioritylevelconfigurations.ts';
import { genericStrategy } from './generic.ts';
import { ingressclasses } from './networking/ingressclasses.ts';
import { ingresses } from './networking/ingresses.ts';
import { ipaddresses } from './networking/ipaddresses.ts';
import { networkpolicies } from './networking/networkpolicies.ts';
import { servicecidrs } from './networking/servicecidrs.ts';
import { runtimeclasses } from './node/runtimeclasses.ts';
import { poddisruptionbudgets } from './policy/poddisruptionbudgets.ts';
import { clusterrolebindings } from './rbac/clusterrolebindings.ts';
import { clusterroles } from './rbac/clusterroles.ts';
import { rolebindings } from './rbac/rolebindings.ts';
import { roles } from './rbac/roles.ts';
import { deviceclasses } from './resource/deviceclasses.ts';
import { resourceclaims } from './resource/resourceclaims.ts';
import { resourceclaimtemplates } from './resource/resourceclaimtemplates.ts';
import { resourceslices } from './resource/resourceslices.ts';
import { priorityclasses } from './scheduling/priorityclasses.ts';
import { csidrivers } from './storage/csidrivers.ts';
import { csinodes } from './storage/csinodes.ts';
import { csistoragecapacities } from './storage/csistoragecapacities.ts';
import { storageclasses } from './storage/storageclasses.ts';
import { volumeattachments } from './storage/volumeattachments.ts';
import { volumeattributesclasses } from './storage/volumeattributesclasses.ts';

const STRATEGIES: readonly Strategy[] = [
  componentstatuses, configmaps, endpoints, coreEvents, limitranges, namespaces, nodes, persistentvolumeclaims, persistentvolumes, pods, podtemplates, replicationcontrollers,
  resourcequotas, secrets, serviceaccounts, services,
  mutatingadmissionpolicies, mutatingadmissionpolicybindings, mutatingwebhookconfigurations, validatingadmissionpolicies, validatingadmissionpolicybindings,
  validatingwebhookconfigurations,
  customresourcedefinitions,
  apiservices,
  controllerrevisions, daemonsets, deployments, replicasets, statefulsets,
  horizontalpodautoscalers, horizontalpodautoscalersV1,
  cronjobs, jobs,
  certificatesigningrequests, clustertrustbundles, podcertificaterequests,
  leases,
  endpointslices,
  events,
  flowschemas, prioritylevelconfigurations,
  ingressclasses, ingresses, ipaddresses, networkpolicies, servicecidrs,
  runtimeclasses,
  poddisruptionbudgets,
  clusterrolebindings, clusterroles, rolebindings, roles,
  deviceclasses, resourceclaims, resourceclaimtemplates, resourceslices,
  priorityclasses,
  csidrivers, csinodes, csistoragecapacities, storageclasses, volumeattachments, volumeattributesclasses,
];

const idOf = (r: ResourceInfo) => `${r.group}/${r.version}/${r.plural}`;
const byResource = new Map(STRATEGIES.map((s) => [idOf(s.resource), s]));

/** The strategy of a resource; for resources without one of their own (custom ones among them), what all kinds have in common. */
export function strategyFor(resource: ResourceInfo): Strategy {
  const own = byResource.get(idOf(resource));
  if (own) return own;
  const { group, plural, sameAs } = resource;
  return sameAs === undefined ? genericStrategy(resource) : { ...strategyFor(resourceOf(group, sameAs, plural)), resource };
}
/** Whether a resource has a strategy of its own. */
export function hasOwnStrategy(resource: ResourceInfo): boolean {
  return byResource.has(idOf(resource));
}

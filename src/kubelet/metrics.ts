/** The kubelet's own metrics, those that are counted as things happen. Names as upstream's, instrumentation/metrics. */
import { Counter, Gauge, Histogram, Registry } from '#base/metrics.ts';

/** Upstream's default buckets, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Those of dynamic resource allocation: 15 from 0.1 s to 40 s, each a fixed factor above the one before. */
const DRA_BUCKETS = Array.from({ length: 15 }, (_, i) => 0.1 * (40 / 0.1) ** (i / 14));

export interface KubeletMetrics {
  readonly registry: Registry;
  readonly shutdownStart: Gauge;
  readonly shutdownEnd: Gauge;
  readonly evictions: Counter<'eviction_signal'>;
  readonly terminatedContainers: Counter<'container_type' | 'exit_code' | 'reason'>;
  readonly preemptions: Counter<'preemption_signal'>;
  readonly cpuPinningRequests: Counter;
  readonly cpuPinningErrors: Counter;
  readonly cpuSharedPool: Gauge;
  readonly cpuExclusive: Gauge;
  readonly cpuPerNuma: Gauge<'numa_node'>;
  readonly memoryPinningRequests: Counter;
  readonly memoryPinningErrors: Counter;
  readonly topologyAdmissions: Counter;
  readonly topologyErrors: Counter;
  readonly topologyAdmissionMs: Histogram;
  /** What containers were given that lies together, by what it lies on: `physical_cpu`, `numa_node`, `uncore_cache`. */
  readonly aligned: Counter<'scope' | 'boundary'>;
  readonly alignedFailures: Counter<'scope' | 'boundary'>;
  readonly devicePluginRegistrations: Counter<'resource_name'>;
  readonly devicePluginAllocation: Histogram<'resource_name'>;
  readonly draOperations: Histogram<'operation_name' | 'is_error'>;
  readonly draGrpcOperations: Histogram<'driver_name' | 'method_name' | 'grpc_status_code'>;
}
export function newKubeletMetrics(): KubeletMetrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    shutdownStart: new Gauge({ name: 'kubelet_graceful_shutdown_start_time_seconds', help: 'Last graceful shutdown start time since unix epoch in seconds', registers }),
    shutdownEnd: new Gauge({ name: 'kubelet_graceful_shutdown_end_time_seconds', help: 'Last graceful shutdown end time since unix epoch in seconds', registers }),
    evictions: new Counter({ name: 'kubelet_evictions', help: 'Cumulative number of pod evictions by eviction signal', labelNames: ['eviction_signal'], registers }),
    terminatedContainers: new Counter({ name: 'kubelet_terminated_containers_total', help: 'Cumulative number of container terminations.', labelNames: ['container_type', 'exit_code', 'reason'], registers }),
    preemptions: new Counter({ name: 'kubelet_preemptions', help: 'Cumulative number of pod preemptions by preemption resource', labelNames: ['preemption_signal'], registers }),
    cpuPinningRequests: new Counter({ name: 'kubelet_cpu_manager_pinning_requests_total', help: 'The number of cpu core allocations which required pinning.', registers }),
    cpuPinningErrors: new Counter({ name: 'kubelet_cpu_manager_pinning_errors_total', help: 'The number of cpu core allocations which required pinning failed.', registers }),
    cpuSharedPool: new Gauge({ name: 'kubelet_cpu_manager_shared_pool_size_millicores', help: 'The size of the shared CPU pool for non-guaranteed QoS pods, in millicores.', registers }),
    cpuExclusive: new Gauge({ name: 'kubelet_cpu_manager_exclusive_cpu_allocation_count', help: 'The total number of CPUs exclusively allocated to containers running on this node', registers }),
    cpuPerNuma: new Gauge({ name: 'kubelet_cpu_manager_allocation_per_numa', help: 'Number of CPUs allocated per NUMA node', labelNames: ['numa_node'], registers }),
    memoryPinningRequests: new Counter({ name: 'kubelet_memory_manager_pinning_requests_total', help: 'The number of memory pages allocations which required pinning.', registers }),
    memoryPinningErrors: new Counter({ name: 'kubelet_memory_manager_pinning_errors_total', help: 'The number of memory pages allocations which required pinning that failed.', registers }),
    topologyAdmissions: new Counter({ name: 'kubelet_topology_manager_admission_requests_total', help: 'The number of admission requests where resources have to be aligned.', registers }),
    topologyErrors: new Counter({ name: 'kubelet_topology_manager_admission_errors_total', help: 'The number of admission request failures where resources could not be aligned.', registers }),
    topologyAdmissionMs: new Histogram({ name: 'kubelet_topology_manager_admission_duration_ms', help: 'Duration in milliseconds to serve a pod admission request.', buckets: Array.from({ length: 15 }, (_, i) => 0.05 * 2 ** i), registers }),
    aligned: new Counter({ name: 'kubelet_container_aligned_compute_resources_count', help: 'Cumulative number of aligned compute resources allocated to containers by alignment type.', labelNames: ['scope', 'boundary'], registers }),
    alignedFailures: new Counter({ name: 'kubelet_container_aligned_compute_resources_failure_count', help: 'Cumulative number of failures to allocate aligned compute resources to containers by alignment type.', labelNames: ['scope', 'boundary'], registers }),
    devicePluginRegistrations: new Counter({ name: 'kubelet_device_plugin_registration_total', help: 'Cumulative number of device plugin registrations. Broken down by resource name.', labelNames: ['resource_name'], registers }),
    devicePluginAllocation: new Histogram({ name: 'kubelet_device_plugin_alloc_duration_seconds', help: 'Duration in seconds to serve a device plugin Allocation request. Broken down by resource name.', labelNames: ['resource_name'], buckets: BUCKETS, registers }),
    draOperations: new Histogram({ name: 'dra_operations_duration_seconds', help: 'Latency histogram in seconds for the duration of handling all ResourceClaims referenced by a pod when the pod starts or stops. Identified by the name of the operation (PrepareResources or UnprepareResources) and separated by the success of the operation. The number of failed operations is provided through the histogram\'s overall count.', labelNames: ['operation_name', 'is_error'], buckets: DRA_BUCKETS, registers }),
    draGrpcOperations: new Histogram({ name: 'dra_grpc_operations_duration_seconds', help: 'Duration in seconds of the DRA gRPC operations', labelNames: ['driver_name', 'method_name', 'grpc_status_code'], buckets: DRA_BUCKETS, registers }),
  };
}
/** Counts the prepared claims at each look, by driver. */
export function reportClaimsInUse({ registry }: KubeletMetrics, inUse: () => ReadonlyMap<string, number>): void {
  const gauge = new Gauge({
    name: 'dra_resource_claims_in_use', help: 'The number of ResourceClaims that are currently in use on the node, by driver name (driver_name label value) and across all drivers (special value <any> for driver_name). Note that the sum of all by-driver counts is not the total number of in-use ResourceClaims because the same ResourceClaim might use devices from different drivers. Instead, use the count for the <any> driver_name.', labelNames: ['driver_name'], registers: [],
    collect() {
      this.reset();
      for (const [driver_name, count] of inUse()) this.set({ driver_name }, count);
    },
  });
  registry.registerMetric(gauge);
}

/** Counts the certificates of Pods at each look. */
export function reportCertificates({ registry }: KubeletMetrics, states: () => readonly { readonly signer: string; readonly state: string }[]): void {
  const gauge = new Gauge({
    name: 'kubelet_podcertificate_states', help: 'Gauge vector reporting the number of pod certificate projected volume sources, faceted by signer_name and state.', labelNames: ['signer_name', 'state'], registers: [],
    collect() {
      this.reset();
      for (const { signer, state } of states()) this.inc({ signer_name: signer, state });
    },
  });
  registry.registerMetric(gauge);
}

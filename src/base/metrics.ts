/** Prometheus metrics. One registry per server, so that several can live in one process. */
export { Counter, Gauge, Histogram, Registry } from 'prom-client';

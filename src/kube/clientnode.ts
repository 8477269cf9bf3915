/** The only place that loads client-node: it costs more start-up time than everything else, so it is imported on demand. */
export { KubeConfig } from '@kubernetes/client-node';

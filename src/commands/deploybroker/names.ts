/** The service account whose token is in broker-info.subm. */
export const BROKER_ADMIN = 'submariner-k8s-broker-admin';

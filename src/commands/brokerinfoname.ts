/** Name of the file of a broker's administrator, as upstream writes it. */
export const BROKER_INFO_FILE = 'broker-info.subm';

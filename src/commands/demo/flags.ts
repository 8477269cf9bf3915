/** Flags of `demo`. */
export interface DemoFlags {
  readonly name: string;
  readonly cableDriver: string;
  readonly keep: boolean;
  readonly controlPlane: string;
  readonly runtime: 'process' | 'podman';
}

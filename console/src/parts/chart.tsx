import { type ComponentProps, lazy, type ReactNode, Suspense } from 'react';

import { Boundary } from './boundary';

export interface Series {
  key: string;
  name: string;
  colour: string;
}

export type Point = { at: string } & Record<string, number | string>;

export interface ChartProps {
  label: string;
  points: Point[];
  series: Series[];
  kind: 'bars' | 'areas';
}

// The library of charts is large and not on every page.
const LazyTimeChart = lazy(async () => ({ default: (await import('./charts')).TimeChart }));
const LazySpark = lazy(async () => ({ default: (await import('./charts')).Spark }));

export const TimeChart = (props: ChartProps) => (
  <Part height={260}>
    <LazyTimeChart {...props} />
  </Part>
);

export const Spark = (props: ComponentProps<typeof LazySpark>) => (
  <Part height={48}>
    <LazySpark {...props} />
  </Part>
);

const Part = ({ height, children }: { height: number; children: ReactNode }) => (
  <Boundary at="chart" isPart>
    <Suspense fallback={<div style={{ height }} />}>{children}</Suspense>
  </Boundary>
);

/** Told apart by their order, also by those who see few colours. */
export const PALETTE = ['#1677ff', '#13a8a8', '#d48806', '#9254de', '#cf1322', '#5b8c00', '#c41d7f', '#08979c', '#ad6800', '#595959'];
export const GOOD = '#389e0d';
export const BAD = '#cf1322';
export const OFF = '#8c8c8c';

import { Area, AreaChart, Bar, BarChart, CartesianGrid, Legend, Line, LineChart, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';

import { useText } from '../texts';
import type { ChartProps } from './chart';
import { useDark } from './theme';

/** Numbers over time, one on the other. */
export function TimeChart({ label, points, series, kind }: ChartProps) {
  const { language } = useText();
  const ink = useDark() ? '#d9d9d9' : '#434343';
  const when = (at: string) => new Date(at).toLocaleString(language, { month: 'numeric', day: 'numeric', hour: '2-digit', minute: '2-digit' });
  const axes = (
    <>
      <CartesianGrid strokeDasharray="3 3" strokeOpacity={0.4} />
      <XAxis dataKey="at" tickFormatter={when} minTickGap={32} stroke={ink} fontSize={12} />
      <YAxis allowDecimals={false} width={44} stroke={ink} fontSize={12} />
      <Tooltip labelFormatter={(at) => when(String(at))} contentStyle={{ color: '#000' }} />
      <Legend />
    </>
  );
  const Chart = kind === 'bars' ? BarChart : AreaChart;
  return (
    <div role="group" aria-label={label}>
      <ResponsiveContainer width="100%" height={260}>
        <Chart data={points}>
          {axes}
          {series.map(({ key, name, colour }) =>
            kind === 'bars' ? (
              <Bar key={key} dataKey={key} name={name} fill={colour} stackId="one" isAnimationActive={false} maxBarSize={32} />
            ) : (
              <Area key={key} type="stepAfter" dataKey={key} name={name} fill={colour} stroke={colour} stackId="one" isAnimationActive={false} />
            ),
          )}
        </Chart>
      </ResponsiveContainer>
    </div>
  );
}

/** How a number has gone lately. */
export function Spark({ label, points }: { label: string; points: number[] }) {
  return (
    <div role="img" aria-label={label}>
      <ResponsiveContainer width="100%" height={48}>
        <LineChart data={points.map((value) => ({ value }))} accessibilityLayer={false}>
          <YAxis hide domain={[0, 'auto']} />
          <Line dataKey="value" dot={false} isAnimationActive={false} strokeWidth={2} stroke="#1677ff" />
        </LineChart>
      </ResponsiveContainer>
    </div>
  );
}

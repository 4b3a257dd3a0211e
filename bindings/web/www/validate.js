// The section "Validate this GPU": a table that grows while the cases run, and the report.
import { appendRow, byId, inWorker, replaceRows, save, setText } from './dom.js';

const scientific = number => (number === 0 ? '0' : number.toExponential(1));

const resultCell = ({ failures }) =>
    failures.length > 0
        ? { text: failures.join('; '), className: 'bad' }
        : { text: 'pass', className: 'good' };

const cells = row => [
    row.variant,
    row.family,
    String(row.cases),
    scientific(row.worstLoss),
    scientific(row.worstGrad),
    resultCell(row),
];

/** Formats a report as Markdown. */
export function markdown({ date, userAgent, adapter, ...report }) {
    const escape = cell => String(cell).replaceAll('|', '\\|');
    const table = (head, rows) =>
        [head, head.map(() => '---'), ...rows].map(row => `| ${row.map(escape).join(' | ')} |`);
    const { info, limits, features } = adapter;
    const summary = report.passed ? 'all cases pass' : 'some cases fail';
    const { loss, grad } = report.tolerance;
    return [
        `# ctc-wgpu ${report.version} in the browser: ${summary}`,
        '',
        `${date}, ${userAgent}`,
        '',
        `Tolerances: ${loss} relative for losses, ${grad} for gradients.`,
        '',
        ...table(
            ['Variant', 'Family', 'Cases', 'Loss error', 'Gradient error', 'Result'],
            report.rows.map(row => cells(row).map(cell => cell.text ?? cell)),
        ),
        '',
        ...table(['Adapter', 'Value'], [
            ...Object.entries(info), ...Object.entries(limits), ['features', features.join(', ')],
        ]),
        '',
    ].join('\n');
}

export function startValidation(adapter) {
    let report;
    let running;
    const buttons = isRunning => {
        byId('validate').disabled = isRunning;
        byId('validate-cancel').disabled = !isRunning;
        byId('save-json').disabled = byId('save-markdown').disabled = isRunning || !report;
    };

    async function run() {
        report = undefined;
        buttons(true);
        replaceRows('validate-table', []);
        byId('validate-progress').value = 0;
        setText('validate-status', 'Compiling the kernels…');
        const task = { task: 'validate', full: byId('full').checked };
        running = inWorker(task, ({ row, done, total }) => {
            appendRow('validate-table', cells(row));
            byId('validate-progress').value = done / total;
            setText('validate-status', `${done} of ${total}`);
        });
        try {
            const result = await running.result;
            const date = new Date().toISOString();
            report = { date, userAgent: navigator.userAgent, adapter, ...result };
            const count = result.rows.reduce((sum, row) => sum + row.cases, 0);
            const failed = result.rows.filter(row => row.failures.length > 0).length;
            setText('validate-status', failed === 0
                ? `All ${count} cases pass.`
                : `${failed} of ${result.rows.length} rows have failures.`);
        } catch (error) {
            setText('validate-status', `Stopped: ${error.message}`);
        }
        buttons(false);
    }

    if (!adapter) {
        setText('validate-status', 'The validation requires WebGPU.');
        return;
    }
    buttons(false);
    byId('validate').onclick = run;
    byId('validate-cancel').onclick = () => running.stop();
    byId('save-json').onclick = () =>
        save('ctc-wgpu-report.json', 'application/json', JSON.stringify(report, null, 1));
    byId('save-markdown').onclick = () =>
        save('ctc-wgpu-report.md', 'text/markdown', markdown(report));
}

// The few things that every part does with the document.

export const byId = id => document.getElementById(id);

export function tell(id, text) {
    byId(id).textContent = text;
}

/** A row of cells; a cell is a text, or { text, className, title }. */
function tableRow(cells, headings) {
    const row = document.createElement('tr');
    cells.forEach((cell, column) => {
        const { text, className = '' } = typeof cell === 'string' ? { text: cell } : cell;
        // The first column names the row.
        const element = document.createElement(column === 0 ? 'th' : 'td');
        if (column === 0) element.scope = 'row';
        element.className = `${headings[column].className} ${className}`.trim();
        element.textContent = text;
        row.append(element);
    });
    return row;
}

/** Replaces the rows of a table. */
export function fill(id, rows) {
    const table = byId(id);
    const headings = table.tHead.rows[0].cells;
    table.tBodies[0].replaceChildren(...rows.map(cells => tableRow(cells, headings)));
}

/** Adds a row to a table. */
export function append(id, cells) {
    const table = byId(id);
    table.tBodies[0].append(tableRow(cells, table.tHead.rows[0].cells));
}

export function save(name, type, text) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    // The download has begun; a browser may still read the address a moment later.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Runs a task in a worker; `onMessage` gets all but the last message, which the promise gives. */
export function inWorker(task, onMessage) {
    const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    let stop;
    const result = new Promise((resolve, reject) => {
        stop = () => reject(new Error('cancelled'));
        worker.onmessage = ({ data }) => {
            if (data.error !== undefined) reject(new Error(data.error));
            else if (data.result !== undefined) resolve(data.result);
            else onMessage(data);
        };
        worker.onerror = event => reject(new Error(event.message || 'the worker did not start'));
        worker.postMessage(task);
    }).finally(() => worker.terminate());
    return { result, stop };
}

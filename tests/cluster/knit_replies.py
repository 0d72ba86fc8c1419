"""What daemons answer to KNIT, asked without a program in between, so that it can be asked often."""


def named(flat):
    """A map as RESP2 shows it."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def status_of(node):
    status = named(node.client().execute_command("KNIT", "STATUS"))
    status["peers"] = [named(peer) for peer in status["peers"]]
    return status


def peer_of(node, name):
    return next(peer for peer in status_of(node)["peers"] if peer["name"].decode() == name)


def rows_by_way(node, name, direction):
    """Rows of `direction`, "sent" to or "received" from a peer since the node's start. Those of exchanges are counted
    for all peers together."""
    peer, status = peer_of(node, name), status_of(node)
    streamed, exchanged = peer[f"stream_rows_{direction}"], status[f"rows_{direction}"]
    return {"streamed": streamed, "exchanged": exchanged, "all": streamed + exchanged}


def rows_sent_to(node, name):
    return rows_by_way(node, name, "sent")


def rows_received_from(node, name):
    return rows_by_way(node, name, "received")


def hints_of(node):
    """What waits for whom: the log's own figures, and per peer by its name."""
    hints = named(node.client().execute_command("KNIT", "HINTS"))
    peers = [named(peer) for peer in hints["peers"]]
    hints["peers"] = {peer["name"].decode(): peer for peer in peers}
    return hints


def lags_of(node):
    """(writer, reader) -> how far behind."""
    lags = [named(lag) for lag in node.client().execute_command("KNIT", "LAG")]
    return {(lag["writer_name"].decode(), lag["reader_name"].decode()): lag for lag in lags}

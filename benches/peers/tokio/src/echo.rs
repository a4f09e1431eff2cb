// SPDX-License-Identifier: MIT

// An echo server for a listening socket that was inherited: a task for each connection.
use std::os::fd::FromRawFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut socket: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    socket.set_nodelay(true)?;
    loop {
        let n = socket.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..n]).await?;
    }
}

// Returns only what went wrong.
pub async fn serve(descriptor: i32) -> std::io::Result<()> {
    let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(echo(socket));
    }
}

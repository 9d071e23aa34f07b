package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// watch opens so many calls over so many connections and prints "open". Then it prints, in nanoseconds since 1970, when
// each event has reached all of them. It reads frames and nothing else, so that little of the machine is spent on it.
func watch(address string, streams, connections int, hello []byte, token, tenant string) {
	var got atomic.Int64
	opened := make(chan struct{})
	for number := range connections {
		share := streams / connections
		if number < streams%connections {
			share++
		}
		connection, err := net.Dial("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		go follow(connection, share, hello, token, tenant, opened, func() {
			if count := got.Add(1); count%int64(streams) == 0 {
				fmt.Println(time.Now().UnixNano())
			}
		})
	}
	for range connections {
		<-opened
	}
	fmt.Println("open")
	select {}
}

func follow(connection net.Conn, streams int, hello []byte, token, tenant string, opened chan<- struct{}, event func()) {
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, connection)
	framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	framer.WriteWindowUpdate(0, 1<<31-1-65535)
	encoder := hpack.NewEncoder(&block)
	prefix := []byte{0, byte(len(hello) >> 24), byte(len(hello) >> 16), byte(len(hello) >> 8), byte(len(hello))}
	message := append(prefix, hello...)
	window, begun := 65535, 0
	open := func() { // as many calls as the connection's window has room for
		for begun < streams && window >= len(message) {
			block.Reset()
			for _, pair := range [][2]string{
				{":method", "POST"}, {":scheme", "http"}, {":path", "/central.events.v1.watch/subscribe"},
				{":authority", "fake"}, {"content-type", "application/grpc"}, {"te", "trailers"},
				{"authorization", "Bearer " + token}, {"x-axway-tenant-id", tenant},
			} {
				encoder.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
			}
			stream := uint32(2*begun + 1)
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
			framer.WriteData(stream, false, message)
			window -= len(message)
			begun++
		}
	}
	send := func() {
		if _, err := connection.Write(out.Bytes()); err != nil {
			log.Fatal(err)
		}
		out.Reset()
	}
	open()
	send()
	framer.SetReuseFrames()
	told := false
	for {
		if begun == streams && !told {
			told = true
			opened <- struct{}{}
		}
		frame, err := framer.ReadFrame()
		if err != nil {
			log.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				framer.WriteSettingsAck()
				send()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				framer.WritePing(true, frame.Data)
				send()
			}
		case *http2.WindowUpdateFrame:
			if frame.StreamID == 0 {
				window += int(frame.Increment)
				open()
				send()
			}
		case *http2.DataFrame: // one message each: nobody's window is ever in the way
			event()
		}
	}
}

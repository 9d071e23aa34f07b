// Reads watch streams as fast as it can, or serves them: the peer and the client of benchmarks/streams.py and fanout.py.
//
//	streams serve EVENTS SIZE                                 prints its address; every call gets so many messages
//	streams read ADDRESS STREAMS EVENTS HELLO TOKEN TENANT    HELLO: the first message, base64; prints seconds
//	streams watch ADDRESS STREAMS CONNECTIONS HELLO TOKEN TENANT
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// raw hands bytes through, so that no side pays for protobuf.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func serve(events, size int) {
	message := make([]byte, size)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	handler := func(_ any, stream grpc.ServerStream) error {
		var hello []byte
		if err := stream.RecvMsg(&hello); err != nil {
			return err
		}
		for range events {
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	}
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(handler),
		grpc.MaxConcurrentStreams(math.MaxUint32))
	log.Fatal(server.Serve(listener))
}

func read(address string, streams, events int, hello []byte, token, tenant string) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+token, "x-axway-tenant-id", tenant))
	defer cancel()
	var all sync.WaitGroup
	start := time.Now()
	for range streams {
		all.Add(1)
		go func() {
			defer all.Done()
			stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
				"/central.events.v1.watch/subscribe")
			if err == nil {
				err = stream.SendMsg(&hello)
			}
			var message []byte
			for got := 0; err == nil && got < events; got++ {
				err = stream.RecvMsg(&message)
			}
			if err != nil {
				log.Fatal(err)
			}
		}()
	}
	all.Wait()
	fmt.Println(time.Since(start).Seconds())
}

func main() {
	switch arguments := os.Args[1:]; arguments[0] {
	case "serve":
		serve(number(arguments[1]), number(arguments[2]))
	case "read", "watch":
		hello, err := base64.StdEncoding.DecodeString(arguments[4])
		if err != nil {
			log.Fatal(err)
		}
		work := map[string]func(string, int, int, []byte, string, string){"read": read, "watch": watch}[arguments[0]]
		work(arguments[1], number(arguments[2]), number(arguments[3]), hello, arguments[5], arguments[6])
	default:
		log.Fatal("serve, read or watch")
	}
}

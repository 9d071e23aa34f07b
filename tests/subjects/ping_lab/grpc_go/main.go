// Command grpc_go is a subject of the PING lab: a bare grpc-go stream, with the library's defaults or with keepalive.
//
//	grpc_go                     no keepalive parameters at all
//	grpc_go -keepalive 10s -timeout 2s
//
// It subscribes, reads, and on any end waits -retry and subscribes again. grpc-go pings no more often than every 10 s,
// whatever it is told.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// raw hands messages over as the bytes they are.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func main() {
	interval := flag.Duration("keepalive", 0, "PING interval; 0: none")
	timeout := flag.Duration("timeout", 20*time.Second, "longest wait for a PING ack")
	retry := flag.Duration("retry", 250*time.Millisecond, "wait before the next attempt")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.WaitForReady(true)),
	}
	if *interval > 0 {
		options = append(options, grpc.WithKeepaliveParams(
			keepalive.ClientParameters{Time: *interval, Timeout: *timeout, PermitWithoutStream: true}))
	}
	channel, err := grpc.NewClient(os.Getenv("MOCKCENTRAL_ADDRESS"), options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc_go:", err)
		os.Exit(2)
	}
	defer channel.Close()
	for ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "grpc_go:", watch(ctx, channel))
		select {
		case <-ctx.Done():
		case <-time.After(*retry):
		}
	}
}

func watch(ctx context.Context, channel *grpc.ClientConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		"authorization", "Bearer "+os.Getenv("MOCKCENTRAL_TOKEN"),
		"x-axway-tenant-id", os.Getenv("MOCKCENTRAL_TENANT"))
	description := grpc.StreamDesc{StreamName: "subscribe", ServerStreams: true, ClientStreams: true}
	stream, err := channel.NewStream(ctx, &description, "/central.events.v1.watch/subscribe")
	if err != nil {
		return err
	}
	request := subscription()
	if err := stream.SendMsg(&request); err != nil {
		return err
	}
	for {
		var event []byte
		if err := stream.RecvMsg(&event); err != nil {
			return err
		}
	}
}

// subscription is Request{selfLink = 1, token = 2}, encoded by hand.
func subscription() []byte {
	var encoded []byte
	for number, text := range []string{os.Getenv("MOCKCENTRAL_TOPIC"), "Bearer " + os.Getenv("MOCKCENTRAL_TOKEN")} {
		encoded = append(encoded, byte((number+1)<<3|2))
		encoded = binary.AppendUvarint(encoded, uint64(len(text)))
		encoded = append(encoded, text...)
	}
	return encoded
}

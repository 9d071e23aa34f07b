// Command grpc_go is a bare grpc-go stream, with the library's defaults or with keepalive: a subject of the PING lab,
// and with -report of the tests that want to know what it read.
//
//	grpc_go                     no keepalive parameters at all
//	grpc_go -keepalive 10s -timeout 2s
//	grpc_go -report             a line of JSON for each message and each end; TLS where there is MOCKCENTRAL_CA_FILE
//
// It subscribes, reads, and on any end waits -retry and subscribes again. grpc-go pings no more often than every 10 s,
// whatever it is told.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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
	report := flag.Bool("report", false, "say what is read, renew the token after each message, fail where there is no connection")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.WaitForReady(!*report)),
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
		fmt.Fprintln(os.Stderr, "grpc_go:", watch(ctx, channel, *report))
		select {
		case <-ctx.Done():
		case <-time.After(*retry):
		}
	}
}

// security is TLS against the fake's own CA, where there is one.
func security() credentials.TransportCredentials {
	file := os.Getenv("MOCKCENTRAL_CA_FILE")
	if file == "" {
		return insecure.NewCredentials()
	}
	found, err := credentials.NewClientTLSFromFile(file, "")
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc_go:", err)
		os.Exit(2)
	}
	return found
}

func watch(ctx context.Context, channel *grpc.ClientConn, report bool) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stream grpc.ClientStream
	if report {
		defer func() { sayEnd(stream, err) }()
	}
	ctx = metadata.AppendToOutgoingContext(ctx,
		"authorization", "Bearer "+os.Getenv("MOCKCENTRAL_TOKEN"),
		"x-axway-tenant-id", os.Getenv("MOCKCENTRAL_TENANT"))
	description := grpc.StreamDesc{StreamName: "subscribe", ServerStreams: true, ClientStreams: true}
	stream, err = channel.NewStream(ctx, &description, "/central.events.v1.watch/subscribe")
	if err != nil {
		return err
	}
	request := subscription()
	// Where a stream is over already, why is for RecvMsg to say.
	if err = stream.SendMsg(&request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		var event []byte
		if err = stream.RecvMsg(&event); err != nil {
			return err
		}
		if report {
			say(map[string]any{"step": "event", "data": event})
			if err = stream.SendMsg(&request); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
	}
}

// sayEnd tells with which status a call ended, and the details that came with it.
func sayEnd(stream grpc.ClientStream, err error) {
	code, message, details := codes.OK, "", ""
	if !errors.Is(err, io.EOF) {
		code, message = status.Code(err), status.Convert(err).Message()
	}
	if stream != nil {
		if found := stream.Trailer().Get("grpc-status-details-bin"); len(found) > 0 {
			details = found[0]
		}
	}
	say(map[string]any{"step": "end", "code": uint32(code), "message": message, "details": []byte(details)})
}

// say writes a line of the tests' protocol. Bytes are base64 in it.
func say(line map[string]any) {
	line["type"] = "progress"
	encoded, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(encoded))
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
